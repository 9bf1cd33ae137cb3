"""Messages between the engine and its worker."""

from __future__ import annotations

import io
from typing import Any

import pytest

from hawkvision.engines.worker.frames import LIMIT, read_frame, write_frame


class _Slow(io.BytesIO):
    def write(self, data: Any, /) -> int:
        return super().write(bytes(data)[:3])


def test_a_pipe_that_takes_parts_gets_all() -> None:
    stream = _Slow()
    write_frame(stream, {"pictures": 1}, b"0123456789")
    stream.seek(0)
    assert read_frame(stream) == ({"pictures": 1}, b"0123456789")


def test_frames_survive_and_damage_is_found() -> None:
    stream = io.BytesIO()
    write_frame(stream, {"pictures": 2}, b"abc")
    write_frame(stream, {})
    whole = stream.getvalue()
    stream.seek(0)
    assert read_frame(stream) == ({"pictures": 2}, b"abc")
    assert read_frame(stream) == ({}, b"")
    assert read_frame(stream) is None
    assert read_frame(io.BytesIO(whole[:9])) is None
    with pytest.raises(ValueError, match="bytes"):
        read_frame(io.BytesIO((LIMIT + 1).to_bytes(4, "little") + bytes(4)))
    with pytest.raises(ValueError, match="head"):
        read_frame(io.BytesIO(b"\x02\0\0\0\0\0\0\0[]"))
