"""BYTES and FP32 tensors as they travel in `raw_*_contents` (Open Inference Protocol v2).

A BYTES element is its length as little-endian uint32, then its bytes.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from hawkvision.errors import InvalidRequest

_LENGTH = struct.Struct("<I")


def pack_bytes(elements: list[bytes]) -> bytes:
    """Serialise a BYTES tensor."""
    return b"".join(part for element in elements for part in (_LENGTH.pack(len(element)), element))


def unpack_bytes(raw: bytes | memoryview, *, at_most: int | None = None) -> list[bytes]:
    """Parse a BYTES tensor. Raises InvalidRequest if lengths and data disagree.

    With `at_most`, more elements are refused before they are all read: millions of empty ones
    fit into one message.
    """
    elements: list[bytes] = []
    offset = 0
    while offset < len(raw):
        if len(elements) == at_most:
            raise InvalidRequest(
                f"a BYTES tensor has more than its {at_most} elements", hint="See OIP v2, BYTES."
            )
        if offset + 4 > len(raw):
            raise InvalidRequest("a BYTES tensor ends inside a length", hint="See OIP v2, BYTES.")
        (size,) = _LENGTH.unpack_from(raw, offset)
        offset += 4
        if offset + size > len(raw):
            raise InvalidRequest(
                f"a BYTES element claims {size} bytes, {len(raw) - offset} are left",
                hint="Each element is a little-endian uint32 length and its bytes.",
            )
        elements.append(bytes(raw[offset : offset + size]))
        offset += size
    return elements


def pack_fp32(array: npt.NDArray[np.float32]) -> bytes:
    """Serialise an FP32 tensor, little-endian and row-major."""
    return np.ascontiguousarray(array, "<f4").tobytes()


def unpack_fp32(raw: bytes, shape: list[int]) -> npt.NDArray[np.float32]:
    """Parse an FP32 tensor. Raises InvalidRequest if the size does not fit the shape."""
    try:
        return np.frombuffer(raw, "<f4").reshape(shape)
    except ValueError as error:
        raise InvalidRequest(
            f"an FP32 tensor of {len(raw)} bytes has no shape {shape}",
            hint="Four bytes for each element.",
        ) from error
