"""The images of an inference request, encoded ones or plain pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hawkvision.errors import InvalidRequest, PayloadTooLarge
from hawkvision.oip.codec import unpack_bytes
from hawkvision.oip.messages import INPUT, InferRequest, InputTensor
from hawkvision.oip.tensors import elements_of

Pixels = npt.NDArray[np.uint8]

_CONTRACT = (
    f"Send one input {INPUT!r}: BYTES, shape [N] or [N,1], or pixels: UINT8, shape [N,H,W,3]."
)
_NO_TEXT = "JSON cannot carry encoded images; send them as binary data (binary_data_size)."


def pictures_of(request: InferRequest, max_images: int) -> list[bytes] | list[Pixels]:
    """Encoded images as they were sent, not decoded yet, or uint8 RGB [H,W,3] each.

    Raises InvalidRequest, or PayloadTooLarge for more than `max_images`.
    """
    if len(request.inputs) != 1:
        raise InvalidRequest(f"{len(request.inputs)} inputs; exactly one is taken", hint=_CONTRACT)
    tensor = request.inputs[0]
    if tensor.name != INPUT:
        raise InvalidRequest(f"no input named {tensor.name[:80]!r}", hint=_CONTRACT)
    if tensor.datatype == "BYTES":
        return _encoded(tensor, max_images)
    if tensor.datatype == "UINT8":
        return _pixels(tensor, max_images)
    raise InvalidRequest(
        f"datatype {tensor.datatype[:20]!r} is neither BYTES nor UINT8", hint=_CONTRACT
    )


def image_count(shape: Sequence[int], max_images: int) -> int:
    """How many encoded images [N] or [N,1] says. Raises InvalidRequest or PayloadTooLarge."""
    if len(shape) not in (1, 2) or shape[0] < 1 or tuple(shape[1:]) not in ((), (1,)):
        raise InvalidRequest(f"shape {list(shape[:8])} is not [N] or [N,1]", hint=_CONTRACT)
    return _bounded(shape[0], max_images)


def _bounded(count: int, max_images: int) -> int:
    if count > max_images:
        raise PayloadTooLarge(
            f"{count} images in one request; the limit is {max_images}", hint="Split the batch."
        )
    return count


def _encoded(tensor: InputTensor, max_images: int) -> list[bytes]:
    count = image_count(tensor.shape, max_images)
    if tensor.raw is not None:
        images = unpack_bytes(tensor.raw, at_most=count)
    else:
        images = [one for one in tensor.data or () if isinstance(one, bytes)]
        if len(images) != len(tensor.data or ()):
            raise InvalidRequest("text is no image", hint=_NO_TEXT)
    if len(images) != count:
        raise InvalidRequest(f"shape says {count} images, {len(images)} were sent", hint=_CONTRACT)
    return images


def _pixels(tensor: InputTensor, max_images: int) -> list[Pixels]:
    shape = tensor.shape
    if len(shape) != 4 or shape[3] != 3 or min(shape) < 1:
        raise InvalidRequest(f"shape {list(shape[:8])} is not [N,H,W,3]", hint=_CONTRACT)
    _bounded(shape[0], max_images)
    values = _values(tensor)
    if values.size != math.prod(shape):
        raise InvalidRequest(
            f"shape {list(shape)} needs {math.prod(shape)} values, {values.size} were sent"
        )
    return list(values.reshape(shape))


def _values(tensor: InputTensor) -> npt.NDArray[np.uint8]:
    if tensor.raw is not None:
        return np.frombuffer(tensor.raw, np.uint8)
    found = elements_of(tensor.data or ())
    whole = set(map(type, found.flat)) <= {int}
    if not whole or (found.size and (found.min() < 0 or found.max() > 255)):
        raise InvalidRequest("UINT8 data holds whole numbers from 0 to 255", hint=_CONTRACT)
    return found.astype(np.uint8)
