"""What the application on Ray Serve is told: `args` of its configuration file, or `key=value`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any

from dc_gateway.config import GatewayConfig
from hawkvision.errors import HawkVisionError
from hawkvision.repository import shipped_repository


@dataclass(frozen=True)
class RaySettings:
    """Replicas are of each rung; `ingresses` take the calls, each of them `threads` at a time.

    Ray adds replicas above `target_ongoing` calls for each, and looks at each every
    `health_check_s`. `tasks` are names with commas between; empty means all of the repository,
    which every node must have at the same path.
    """

    repository: str = ""
    tasks: str = ""
    engine: str = "onnx"
    min_replicas: int = 1
    max_replicas: int = 4
    target_ongoing: float = 2.0
    cpus: float = 1.0
    gpus: float = 0.0
    ingresses: int = 1
    threads: int = 16
    max_queue: int = 64
    max_images: int = 64
    max_deadline_s: float = 60.0
    health_check_s: float = 0.5

    def __post_init__(self) -> None:
        counts = ("min_replicas", "ingresses", "threads", "max_queue", "max_images")
        low = [name for name in counts if getattr(self, name) < 1]
        if self.max_replicas < self.min_replicas:
            low.append("max_replicas")
        low += [
            name
            for name in ("max_deadline_s", "health_check_s")
            if not 0 < getattr(self, name) < inf
        ]
        if low:
            raise HawkVisionError(
                f"settings that cannot be: {', '.join(low)}",
                hint="Counts are at least 1, max_replicas at least min_replicas, seconds above 0.",
            )

    @classmethod
    def parse(cls, args: Mapping[str, Any]) -> RaySettings:
        """From `args`, whose values may be text. Raises HawkVisionError."""
        kinds = {name: type(value) for name, value in asdict(cls()).items()}
        unknown = sorted(set(args) - set(kinds))
        if unknown:
            raise HawkVisionError(
                f"no setting {', '.join(unknown)}", hint=f"There is {', '.join(kinds)}."
            )
        try:
            return cls(**{name: kinds[name](value) for name, value in args.items()})
        except (TypeError, ValueError) as error:
            raise HawkVisionError(f"a setting cannot be read: {error}") from error

    def as_text(self) -> str:
        """For `of_text`, in a replica."""
        return json.dumps(asdict(self))

    @classmethod
    def of_text(cls, text: str) -> RaySettings:
        """What `as_text` made."""
        return cls(**json.loads(text))

    def config(self) -> GatewayConfig:
        """The gateway's settings that hold here too."""
        return GatewayConfig(
            tasks=tuple(name.strip() for name in self.tasks.split(",") if name.strip()),
            model_repository=Path(self.repository) if self.repository else shipped_repository(),
            engine=self.engine,
            threads=self.threads,
            max_queue=self.max_queue,
            max_images=self.max_images,
            max_deadline_s=self.max_deadline_s,
        )
