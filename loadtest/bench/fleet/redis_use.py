"""What a Redis did between two looks: commands, bytes, processor time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hawkvision.errors import HawkVisionError

_OUR_OWN = frozenset({"info"})


@dataclass(frozen=True, slots=True)
class RedisUse:
    """Counters of a server since it started; `commands` and `usec` by name, those of scripts too.

    `cpu_s` is of the whole process, user and system.
    """

    commands: Mapping[str, float]
    usec: Mapping[str, float]
    bytes_in: float
    bytes_out: float
    cpu_s: float

    @classmethod
    def read(cls, url: str) -> RedisUse | None:
        """Ask the server; None where it is no Redis. Raises HawkVisionError."""
        if url.partition("://")[0] not in ("redis", "rediss", "unix"):
            return None
        try:
            from redis import Redis, RedisError
        except ImportError as error:
            raise HawkVisionError(
                "redis-py is not installed", hint="pip install 'hawkvision[redis]'."
            ) from error
        try:
            with Redis.from_url(url) as client:
                return cls.parse({**client.info("all")})
        except RedisError as error:
            raise HawkVisionError(f"the Redis does not answer INFO: {error}") from error

    @classmethod
    def parse(cls, info: Mapping[str, Any]) -> RedisUse:
        """From what INFO answers, as redis-py reads it."""
        found = {
            name.removeprefix("cmdstat_"): row
            for name, row in info.items()
            if name.startswith("cmdstat_")
        }
        return cls(
            {name: float(row["calls"]) for name, row in found.items()},
            {name: float(row["usec"]) for name, row in found.items()},
            float(info["total_net_input_bytes"]),
            float(info["total_net_output_bytes"]),
            float(info["used_cpu_user"]) + float(info["used_cpu_sys"]),
        )

    def since(self, before: RedisUse) -> RedisUse:
        """What happened in between, our own looking left out."""
        return RedisUse(
            _less(self.commands, before.commands),
            _less(self.usec, before.usec),
            self.bytes_in - before.bytes_in,
            self.bytes_out - before.bytes_out,
            self.cpu_s - before.cpu_s,
        )

    def as_dict(self, seconds: float) -> dict[str, Any]:
        """Each second, over a time of `seconds`."""
        return {
            "seconds": seconds,
            "commands_per_s": {name: n / seconds for name, n in sorted(self.commands.items())},
            "usec_per_command": {
                name: self.usec.get(name, 0.0) / n for name, n in sorted(self.commands.items())
            },
            "bytes_in_per_s": self.bytes_in / seconds,
            "bytes_out_per_s": self.bytes_out / seconds,
            "cpu": self.cpu_s / seconds,
        }


def _less(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    found = {name: n - before.get(name, 0.0) for name, n in after.items()}
    return {name: n for name, n in found.items() if n > 0 and name not in _OUR_OWN}
