"""The log of a process: what a line looks like, and how often one may repeat."""

from __future__ import annotations

import io
import json
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hawkvision.serving import logs
from hawkvision.serving.repeats import Repeats, kind_of

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR) [\w.]+: .*")
_log = logging.getLogger("tests.logs")


def written(form: str, *texts: str, level: str = "info") -> str:
    out = io.StringIO()
    with logs.configured(level, form, out):
        for text in texts:
            _log.info("%s", text)
    return out.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "1970-01-01T00:00:00.000Z"), (1782903845.0629, "2026-07-01T11:04:05.062Z")],
)
def test_times_are_utc_with_milliseconds(seconds: float, text: str) -> None:
    assert logs.timestamp(seconds) == text


@given(some.text(max_size=60))
def test_a_message_is_one_line_whatever_is_in_it(text: str) -> None:
    (line,) = written("text", text).split("\n")[:-1]
    assert LINE.fullmatch(line) and line.isprintable()
    (line,) = written("json", text).split("\n")[:-1]
    assert set(json.loads(line)) == {"time", "level", "logger", "message"}
    if text.isascii():
        assert json.loads(line)["message"] == text


def test_a_fault_is_shown_whole() -> None:
    for form in logs.FORMATS:
        out = io.StringIO()
        with logs.configured("info", form, out):
            try:
                raise ValueError("a cause")
            except ValueError:
                _log.exception("it failed")
        assert "ValueError: a cause" in out.getvalue()
        assert out.getvalue().count("\n") > 3 or form == "json"


def test_levels_are_kept() -> None:
    assert written("text", "an info", level="warning") == ""


def test_after_it_everything_is_as_it_was() -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    written("text", "one")
    assert (root.level, list(root.handlers)) == before


def test_a_flood_is_cut_and_says_so() -> None:
    lines = written("text", *(f"client {index}" for index in range(1000))).splitlines()
    assert len(lines) < 20
    assert "more like it are dropped for a while" in lines[-2]
    assert "dropped 990 lines of tests.logs like: %s" in lines[-1]


def test_what_was_dropped_is_told_by_the_next() -> None:
    repeats = Repeats(most=2, window_s=60)
    kind = kind_of("logger", "it failed")
    assert [repeats.see(kind, now) for now in (0, 1, 2, 59.9)] == [0, 0, None, None]
    assert repeats.see(kind_of("logger", "another"), 3) == 0
    assert repeats.see(kind, 60) == 2
    assert repeats.left() == {}


def test_numbers_do_not_make_another_kind() -> None:
    assert kind_of("a", "task 0x7f1 of 12") == kind_of("a", "task 0x8e of 3456")
    assert kind_of("a", "one") != kind_of("a", "two")
    assert kind_of("a", "one") != kind_of("b", "one")


@given(some.lists(some.tuples(some.integers(0, 3), some.floats(0, 50)), max_size=200))
def test_no_line_is_lost_without_being_counted(steps: list[tuple[int, float]]) -> None:
    repeats, now, told = Repeats(most=3, window_s=60), 0.0, 0
    passed: dict[int, list[float]] = {}
    for kind, pause in steps:
        now += pause
        dropped = repeats.see(("logger", str(kind)), now)
        if dropped is not None:
            told += dropped + 1
            passed.setdefault(kind, []).append(now)
    assert told + sum(repeats.left().values()) == len(steps)
    for times in passed.values():
        assert all(later - first > 0 for first, later in zip(times, times[6:], strict=False))


def test_kinds_without_end_take_no_memory_without_end() -> None:
    repeats = Repeats(kinds=50)
    for index in range(500):
        assert repeats.see(("logger", "x" * index), 0.0) == 0
    assert len(repeats._seen) == 50
