"""The options of both services that bound images, and the limits made of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from hawkvision.images import ImageLimits


def image_options(defaults: ImageLimits) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a click command `--max-image-bytes` and its like, and its function `limits` instead."""
    options = (
        ("--max-image-bytes", defaults.max_bytes, "Encoded."),
        ("--max-pixels", defaults.max_pixels, "Of one image; less on small machines."),
        ("--max-decode-bytes", defaults.max_decode_bytes, "Memory of all decodes together."),
        ("--max-scans", defaults.max_scans, "Of a progressive JPEG, through each block."),
        ("--max-segments", defaults.max_segments, "Parts of an image file."),
    )

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def command(
            max_image_bytes: int,
            max_pixels: int,
            max_decode_bytes: int,
            max_scans: int,
            max_segments: int,
            **others: Any,
        ) -> Any:
            limits = ImageLimits(
                max_image_bytes, max_pixels, max_decode_bytes, max_scans, max_segments
            )
            return function(limits=limits, **others)

        for name, default, text in reversed(options):
            command = click.option(name, default=default, type=click.IntRange(1), help=text)(
                command
            )
        return command

    return decorate
