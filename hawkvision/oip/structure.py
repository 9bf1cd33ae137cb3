"""How much of a ModelInferRequest is structure and not payload, found without parsing it.

Parsed, a message of two-byte fields takes a hundred times the memory that it took on the wire, so
fields are counted before (https://protobuf.dev/programming-guides/encoding/).
"""

from __future__ import annotations

from collections.abc import Iterator

from hawkvision.errors import InvalidRequest

STRUCTURE_BYTES = 64 * 1024
"""Most bytes of a message that are no image: names, shapes, parameters."""

_HINT = "Send a ModelInferRequest of the Open Inference Protocol v2."
_INPUTS, _RAW_INPUT_CONTENTS = 5, 7
_CONTENTS = 5
_BYTES_CONTENTS = 8
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_PATHS = ((_RAW_INPUT_CONTENTS,), (_INPUTS, _CONTENTS, _BYTES_CONTENTS))
"""Where the payload lies: fields that are bytes and cost no more when they are parsed."""


def check_structure(raw: bytes, at_most: int) -> None:
    """Raise InvalidRequest if more than `at_most` bytes of a ModelInferRequest are no payload.

    Raises it too for what is no protobuf message, if it is longer than that.
    """
    if len(raw) <= at_most:
        return
    budget = at_most
    for size in _structure(raw, 0, len(raw), _PATHS):
        budget -= size
        if budget < 0:
            raise InvalidRequest(
                f"names, shapes, parameters and typed contents of more than {at_most} bytes",
                hint="Send one input, its images or pixels in raw_input_contents.",
            )


def _structure(
    raw: bytes, start: int, end: int, paths: tuple[tuple[int, ...], ...]
) -> Iterator[int]:
    """Sizes of the pieces between `start` and `end` that are no payload."""
    offset = start
    while offset < end:
        before = offset
        key, offset = _varint(raw, offset, end)
        number, kind = key >> 3, key & 7
        if kind == _LENGTH:
            size, offset = _varint(raw, offset, end)
            deeper = tuple(path[1:] for path in paths if path[0] == number)
            yield offset - before
            if offset + size > end:
                raise InvalidRequest("the message ends inside a field", hint=_HINT)
            if not deeper:
                yield size
            elif () not in deeper:
                yield from _structure(raw, offset, offset + size, deeper)
            offset += size
            continue
        if kind == _VARINT:
            _, offset = _varint(raw, offset, end)
        elif kind in (_FIXED64, _FIXED32):
            offset += 8 if kind == _FIXED64 else 4
        else:
            raise InvalidRequest(f"the message has a field of wire type {kind}", hint=_HINT)
        if offset > end:
            raise InvalidRequest("the message ends inside a field", hint=_HINT)
        yield offset - before


def _varint(raw: bytes, offset: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while offset < end and shift < 70:
        byte = raw[offset]
        offset += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, offset
        shift += 7
    raise InvalidRequest("the message ends inside a number", hint=_HINT)
