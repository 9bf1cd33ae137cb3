"""`hawkvision dc`: options, environment and file to one GatewayConfig."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from dc_gateway.config import GatewayConfig
from hawkvision.errors import HawkVisionError
from hawkvision.images import ImageLimits
from hawkvision.serving import logs
from hawkvision.serving.config_file import read_config

_DEFAULT = GatewayConfig()


@click.command("dc", context_settings={"show_default": True})
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=read_config,
    help="TOML file with any of these options.",
)
@click.option("--host", default=_DEFAULT.host)
@click.option("--port", default=_DEFAULT.port, type=click.IntRange(0, 65535), help="0: any free.")
@click.option("--task", "tasks", multiple=True, help="Serve only these.")
@click.option(
    "--model-repository",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=_DEFAULT.model_repository,
    show_default="the tasks that ship",
)
@click.option("--engine", default=_DEFAULT.engine)
@click.option(
    "--threads", default=_DEFAULT.threads, type=click.IntRange(1, 64), show_default="cores, <= 4"
)
@click.option("--max-queue", default=_DEFAULT.max_queue, type=click.IntRange(1), help="Images.")
@click.option("--max-image-bytes", default=_DEFAULT.limits.max_bytes, type=click.IntRange(1))
@click.option("--max-pixels", default=_DEFAULT.limits.max_pixels, type=click.IntRange(1))
@logs.log_options
def command(
    max_image_bytes: int, max_pixels: int, log_level: str, log_format: str, **options: Any
) -> None:
    """Serve the larger models over gRPC, Open Inference Protocol v2."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what fails is said once, by us
    with logs.configured(log_level, log_format):
        from dc_gateway.server import run

        try:
            run(GatewayConfig(limits=ImageLimits(max_image_bytes, max_pixels), **options))
        except HawkVisionError as error:
            raise click.ClickException(f"{error.message}. {error.hint}".strip()) from error
