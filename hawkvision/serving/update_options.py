"""The options of both services that say where signed releases come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def update_options(every_s: float, how: str) -> Callable[[Command], Command]:
    """`updates`, `updates_root` and `updates_every_s` (default `every_s`); `how` they are taken."""

    def add(command: Command) -> Command:
        for option in (
            click.option(
                "--updates-every-s",
                default=every_s,
                type=click.FloatRange(0.1, 86_400),
                help="Between two looks at --updates.",
            ),
            click.option(
                "--updates-root",
                default=None,
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                help="The publisher's root.json: whose signatures are trusted.",
            ),
            click.option("--updates", default=None, metavar="URL", show_default="none", help=how),
        ):
            command = option(command)
        return command

    return add
