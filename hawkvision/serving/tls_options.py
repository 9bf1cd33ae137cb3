"""Options that both services have for certificates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
PEM = click.Path(exists=True, dir_okay=False, path_type=Path)
"""A file that is there when the service starts."""

WATCH_S = 10.0


def client_options(option: str, whom: str) -> Callable[[Command], Command]:
    """`--NAME-ca`, `-cert`, `-key` and `-name`, of a client of `whom`; see `tls.ClientTls`."""

    def decorate(command: Command) -> Command:
        for add in reversed(
            (
                click.option(
                    f"{option}-ca",
                    type=PEM,
                    show_default="no TLS",
                    help=f"PEM file of the authorities that sign for {whom}: speak TLS.",
                ),
                click.option(
                    f"{option}-cert", type=PEM, help=f"PEM chain that {whom} are shown (mTLS)."
                ),
                click.option(f"{option}-key", type=PEM),
                click.option(
                    f"{option}-name",
                    help=f"In the certificates of {whom}, where the host is not.",
                ),
            )
        ):
            command = add(command)
        return command

    return decorate


watch_option = click.option(
    "--watch-certificates",
    default=WATCH_S,
    type=click.FloatRange(0, 86_400),
    help="Look for new certificates every so many seconds; 0: at SIGHUP alone.",
)
