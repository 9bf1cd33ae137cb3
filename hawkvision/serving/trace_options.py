"""The options of both services that say where traces go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def trace_options(command: Command) -> Command:
    """`otlp_endpoint` and `trace_share`."""
    for option in (
        click.option(
            "--trace-share",
            default=0.01,
            type=click.FloatRange(0, 1),
            help="Of requests whose clients do not trace them.",
        ),
        click.option(
            "--otlp-endpoint",
            default=None,
            metavar="URL",
            help="http://HOST:4317 of an OpenTelemetry collector that gets traces; needs the extra "
            "otel.",
        ),
    ):
        command = option(command)
    return command
