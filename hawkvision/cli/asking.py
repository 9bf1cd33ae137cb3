"""What all commands have in common that ask a running agent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

API_KEY = "HAWKVISION_API_KEY"
Command = TypeVar("Command", bound=Callable[..., Any])


def key_option(command: Command) -> Command:
    """`--key`, or the variable, which no list of processes shows."""
    return click.option(
        "--key",
        envvar=API_KEY,
        show_default="none",
        help=f"API key, where the agent asks for one; better in the variable {API_KEY}.",
    )(command)
