"""docs/security.md says of every limit what is so: its option, its default, the command's own."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from dc_gateway.command import command as dc
from edge_agent.command import command as edge

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
COMMANDS = {"edge": edge, "dc": dc}
ROW = re.compile(
    r"^\| [^|]+ \| (?P<default>[^|]+) \| `(?P<command>edge|dc) (?P<option>--[a-z-]+)` \|"
)
UNITS = {"KiB": 1024, "MiB": 1024**2, "s": 1, "ms": 1, "B/s": 1, "": 1}

ROWS = [found for line in PAGE.read_text("utf-8").splitlines() if (found := ROW.match(line))]


def options(command: click.Command) -> dict[str, click.Parameter]:
    return {name: one for one in command.params for name in one.opts}


def is_limit(name: str) -> bool:
    return name.startswith("--max-") or name.endswith(("-timeout-s", "-least-rate", "-idle-s"))


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['command']} {row['option']}" for row in ROWS])
def test_a_limits_option_and_default_are_as_written(row: re.Match[str]) -> None:
    option = options(COMMANDS[row["command"]])[row["option"]]
    number, _, unit = row["default"].strip().partition(" ")
    if option.default is not None and number.replace(",", "").replace(".", "").isdigit():
        assert float(number.replace(",", "")) * UNITS[unit] == option.default


@pytest.mark.parametrize("name", COMMANDS)
def test_every_limit_that_can_be_set_is_written(name: str) -> None:
    written = {row["option"] for row in ROWS if row["command"] == name}
    assert {option for option in options(COMMANDS[name]) if is_limit(option)} <= written


NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
HELD = sorted(set(NAMED.findall(PAGE.read_text("utf-8"))))


def test_threats_name_tests() -> None:
    assert len(HELD) > 25


@pytest.mark.parametrize(("path", "name"), HELD, ids=lambda one: one.rpartition("/")[2])
def test_a_test_that_is_named_exists(path: str, name: str) -> None:
    text = (PAGE.parents[1] / path).read_text("utf-8")
    assert re.search(rf"^(async )?def {name or 'test_'}", text, re.MULTILINE)


def test_each_risk_of_the_list_has_an_answer() -> None:
    text = PAGE.read_text("utf-8")
    assert [int(one) for one in re.findall(r"^\| API(\d+) ", text, re.MULTILINE)] == [*range(1, 11)]
