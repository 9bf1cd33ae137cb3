"""The kernel's counters of processes that it ended for want of memory."""

from __future__ import annotations

import pytest

from hawkvision.serving.oom import oom_kills, parse_oom_kills


@pytest.mark.parametrize(
    ("text", "kills"),
    [
        ("nr_free_pages 12\noom_kill 3\nswpin_zero 0\n", 3),
        ("low 0\nhigh 0\noom 4\noom_kill 2\noom_group_kill 0\n", 2),
        ("oom_kill_disable 0\nunder_oom 0\n", 0),
        ("oom_kill many\n", 0),
        ("", 0),
    ],
)
def test_the_counter_is_read_where_there_is_one(text: str, kills: int) -> None:
    assert parse_oom_kills(text) == kills


def test_this_system_is_asked_without_failing() -> None:
    assert oom_kills() >= 0
