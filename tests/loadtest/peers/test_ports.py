"""Ports for servers that listen only after a while."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from loadtest.peers import ports


def test_they_are_different_and_nobody_is_given_one_unasked() -> None:
    found = ports.free_ports(20)
    assert len(set(found)) == 20
    other = set(range(20_000, 65_000)) - set(ports.given_unasked())
    assert not other or other >= set(found)


def test_what_somebody_has_is_left_out() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        taken = held.getsockname()[1]
        [free] = ports.free_ports(1)
        assert ports.first_free([taken, free], 1) == [free]
        with pytest.raises(OSError, match="fewer than 1"):
            ports.first_free([taken], 1)


@pytest.mark.parametrize("text", ["", "a word", "1024 65535"])
def test_where_all_are_given_unasked_or_none_is_known_there_is_one_all_the_same(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "range").write_text(text)
    monkeypatch.setattr(ports, "_RANGE", tmp_path / "range")
    assert len(ports.free_ports(2)) == 2
