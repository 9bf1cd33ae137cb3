"""Options from environment variables: `HAWKVISION_EDGE_MAX_QUEUE` for `edge --max-queue`."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping

import click

from hawkvision.errors import InvalidRequest

PREFIX = "HAWKVISION"
_OF_OTHERS = ("API_KEY", "DATA", "PYNQ_PYTHON", "LOADTEST_", "TEST_")
"""Read elsewhere: clients' key, a folder of photos, the board's Python, load tests, our tests."""
_NEAR = 0.8


def name_options(command: click.Command, prefix: str) -> None:
    """Let every option be set under its own name, whatever its parameter is called in Python.

    Of an option that may be given several times, the plural is a name too.
    """
    for part, words in _parts(command, prefix):
        for option in _options(part):
            if option.envvar is None:
                option.envvar = [f"{words}_{name}" for name in _names(option)]


def check(
    environment: Mapping[str, str], command: click.Command, prefix: str, others: Collection[str]
) -> None:
    """Raise InvalidRequest for a variable that looks like an option of `command` and is none.

    `others` are the prefixes of the other commands: what begins so is theirs, and checked when
    they run.
    """
    known = sorted(
        f"{words}_{name}"
        for part, words in _parts(command, prefix)
        for option in _options(part)
        for name in _names(option)
    )
    elsewhere = tuple(f"{PREFIX}_{other}" for other in _OF_OTHERS) + tuple(
        f"{other}_" for other in others
    )
    for name, value in sorted(environment.items()):
        if not value or name in known or not name.startswith("HAWK"):
            continue
        ours = name.startswith(f"{prefix}_")
        if not ours and name.startswith(elsewhere):
            continue
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.6 if ours else _NEAR)
        if ours or nearest:
            raise InvalidRequest(
                f"the environment variable {name} sets no option of this command",
                hint=f"Is {nearest[0]} meant?" if nearest else "See --help for the options.",
            )


def _parts(command: click.Command, prefix: str) -> Iterator[tuple[click.Command, str]]:
    """A command and those below it, each with the beginning of its variables."""
    yield command, prefix
    if isinstance(command, click.Group):
        for name, part in command.commands.items():
            yield from _parts(part, f"{prefix}_{_upper(name)}")


def _options(command: click.Command) -> list[click.Option]:
    return [one for one in command.params if isinstance(one, click.Option)]


def _names(option: click.Option) -> list[str]:
    """Its own name first, then the plural, then the parameter's in Python."""
    own = [_upper(one.lstrip("-")) for one in option.opts if one.startswith("--")]
    plural = [f"{name}S" for name in own] if option.multiple else []
    return list(dict.fromkeys([*own, *plural, _upper(option.name or "")]))


def _upper(name: str) -> str:
    return name.replace("-", "_").upper()
