"""Tensors of any datatype as bytes, little-endian and row-major, and back.

Source: Open Inference Protocol v2, "Tensor Data Types"; BF16 is Triton's, and never JSON.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hawkvision.errors import InvalidRequest
from hawkvision.oip.codec import pack_bytes, unpack_bytes
from hawkvision.oip.messages import InputTensor, OutputTensor

BF16 = "BF16"
_TYPES = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    BF16: "<u2",
}


def pack(tensor: OutputTensor) -> bytes:
    """The elements of a tensor of a reply; its datatype is one that there is."""
    if tensor.datatype == "BYTES":
        return pack_bytes(list(tensor.values.flat))
    return np.ascontiguousarray(tensor.values, _TYPES[tensor.datatype]).tobytes()


def unpack(
    datatype: str, shape: Sequence[int], raw: bytes | None, typed: Sequence[Any]
) -> npt.NDArray[Any]:
    """A tensor from its bytes or, where those are None, from its elements.

    Raises ValueError where they do not fit, and InvalidRequest for BYTES that end early.
    """
    if datatype == "BYTES":
        texts = list(typed) if raw is None else unpack_bytes(raw)
        values = np.empty(len(texts), np.object_)
        values[:] = texts
        return values.reshape(shape)
    if datatype not in _TYPES:
        raise ValueError(f"no datatype {datatype[:20]!r}")
    kind = np.dtype(_TYPES[datatype])
    if raw is None:
        return np.asarray(typed, kind).reshape(shape)
    return np.frombuffer(raw, kind).reshape(shape)


def pack_input(tensor: InputTensor) -> bytes:
    """The elements of a tensor of any request, checked where they came as JSON.

    There they are flat, or nested as the shape is. Raises InvalidRequest.
    """
    if tensor.raw is not None:
        return bytes(tensor.raw)
    found = elements_of(tensor.data or ())
    if found.shape not in ((math.prod(tensor.shape),), tensor.shape):
        raise InvalidRequest(
            f"data of shape {list(found.shape[:8])} is not of shape {list(tensor.shape)}",
            hint="Send the elements flat, or nested as the shape is.",
        )
    flat: list[Any] = found.ravel().tolist()
    if tensor.datatype == "BYTES":
        return pack_bytes(_texts(flat))
    name = _TYPES.get(tensor.datatype)
    if name is None or tensor.datatype == BF16:
        raise InvalidRequest(
            f"JSON has no datatype {tensor.datatype[:20]!r}", hint="Send binary data."
        )
    kind = np.dtype(name)
    if not _fits(flat, kind):
        raise InvalidRequest(f"data holds what is no {tensor.datatype}")
    with np.errstate(over="ignore"):
        return np.array(flat, kind).tobytes()


def elements_of(data: Sequence[Any]) -> npt.NDArray[np.object_]:
    """What JSON holds, nested as it is, each element as it is.

    numpy is not left to find a type: of texts it would make an array as wide as the longest.
    Raises InvalidRequest.
    """
    try:
        return np.array(data, np.object_)
    except ValueError as error:
        raise InvalidRequest("data is nested as no tensor is") from error


def _texts(flat: list[Any]) -> list[bytes]:
    if not all(isinstance(one, str | bytes) for one in flat):
        raise InvalidRequest("BYTES data holds texts")
    return [one.encode() if isinstance(one, str) else one for one in flat]


def _fits(flat: list[Any], kind: np.dtype[Any]) -> bool:
    """Whether these elements are of this kind; a whole number is a fraction too."""
    kinds = set(map(type, flat))
    if kind.kind not in "iu":
        return kinds <= ({bool} if kind.kind == "b" else {int, float})
    limits = np.iinfo(kind)
    return kinds <= {int} and (not flat or (limits.min <= min(flat) and max(flat) <= limits.max))
