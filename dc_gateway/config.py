"""Every setting of the gateway, parsed once by the command line."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from hawkvision.images import ImageLimits
from hawkvision.repository import shipped_repository

_FRAMING_BYTES = 64 * 1024


@dataclass(frozen=True)
class GatewayConfig:
    """Settings; times in seconds.

    `tasks` empty means every task of the repository. `max_queue` counts images that wait for a
    thread, `max_images` those of one request; `max_calls` bounds the calls open at once, and with
    them the memory that their messages take. While `drain_notice_s` lasts, the gateway still
    answers but says that it is not ready; then calls in flight have `drain_grace_s` to finish.
    """

    host: str = "127.0.0.1"
    port: int = 8001
    tasks: tuple[str, ...] = ()
    model_repository: Path = field(default_factory=shipped_repository)
    engine: str = "onnx"
    threads: int = field(default_factory=lambda: min(4, os.cpu_count() or 1))
    max_queue: int = 64
    max_images: int = 64
    max_calls: int = 1024
    limits: ImageLimits = field(default_factory=ImageLimits.of_machine)
    drain_notice_s: float = 0.5
    drain_grace_s: float = 3.0

    @property
    def images_per_request(self) -> int:
        """Most images of one request: more than the queue holds could never be served."""
        return min(self.max_images, self.max_queue)

    @property
    def max_message_bytes(self) -> int:
        """Largest gRPC message that is received."""
        return 2 * self.limits.max_bytes + _FRAMING_BYTES
