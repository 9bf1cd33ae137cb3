"""What a publisher signs of one version of a task: its files, and how a fleet takes it up.

A release is one small JSON file, a signed target. It is read as hostile all the same: a publisher's
key for one task must not harm an agent that serves others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from hawkvision.errors import RepositoryError
from hawkvision.repository.index import IndexedFile, check_name, parse_files

SCHEMA = 1
RELEASE = "release.json"
MAX_RELEASE_BYTES = 256 * 1024
MAX_FILES = 256
_MOST_WAVES = 32
_MOST_SECONDS = 366 * 86400.0
_JUDGES = ("labels", "dc")


@dataclass(frozen=True, slots=True)
class Wave:
    """The `share` of all agents, in (0, 1], that has the version once this wave is open.

    It lasts `at_least_s` seconds before the next one opens.
    """

    share: float
    at_least_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Rollout:
    """How a fleet takes up a version; shares and risks in [0, 1], times in seconds.

    Of the requests, the share `shadow` is answered by the old and by the new version. The risk that
    a version that is no worse is halted is at most `alpha`, in the whole fleet; so is the risk that
    one goes on, at one agent, that errs by more than `epsilon` more often. Before the new version
    serves, `first_pairs` are compared, and `least_pairs` before an agent passes it. With `slower`
    a version is halted that computes so many times as long (0: it may take what it takes).
    `judges` decide between two answers that differ: labels that clients send within `label_wait_s`,
    then the data center's answer. `passes` agents of earlier waves must have passed it.
    """

    waves: tuple[Wave, ...] = (Wave(1.0),)
    alpha: float = 0.05
    epsilon: float = 0.02
    shadow: float = 0.1
    first_pairs: int = 50
    least_pairs: int = 200
    slower: float = 2.0
    judges: tuple[str, ...] = _JUDGES
    label_wait_s: float = 2.0
    passes: int = 1

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Rollout:
        """Settings that are left out have their defaults. Raises RepositoryError."""
        try:
            known = {name: _READERS[name](value) for name, value in dict(raw).items()}
        except (KeyError, TypeError, ValueError) as error:
            what = f"there is no setting {error}" if isinstance(error, KeyError) else str(error)
            raise RepositoryError(f"the rollout cannot be used: {what[:200]}") from error
        return cls(**known)


def _between(low: float, high: float) -> Any:
    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{str(value)[:40]!r} is no number")
        if not low <= value <= high:
            raise ValueError(f"{value!r:.40} is not between {low:g} and {high:g}")
        return float(value)

    return read


def _count(most: int, least: int = 0) -> Any:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"{str(value)[:40]!r} is no count from {least} to {most}")
        return value

    return read


_seconds = _between(0, _MOST_SECONDS)


def _waves(value: Any) -> tuple[Wave, ...]:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= _MOST_WAVES:
        raise ValueError(f"a rollout has 1 to {_MOST_WAVES} waves")
    share = _between(1e-6, 1)
    waves = tuple(Wave(share(one["share"]), _seconds(one.get("at_least_s", 0))) for one in value)
    shares = [wave.share for wave in waves]
    if shares != sorted(set(shares)) or shares[-1] != 1:
        raise ValueError("shares of waves must rise, and end with 1")
    return waves


def _judges(value: Any) -> tuple[str, ...]:
    found = tuple(one for one in _JUDGES if one in list(value))
    if not found or len(found) != len(list(value)):
        raise ValueError(f"judges are {' and '.join(_JUDGES)}, or one of them")
    return found


_READERS: Mapping[str, Any] = {
    "waves": _waves,
    "alpha": _between(1e-6, 0.5),
    "epsilon": _between(1e-4, 0.5),
    "shadow": _between(0.001, 1),
    "first_pairs": _count(1_000_000, 1),
    "least_pairs": _count(1_000_000),
    "slower": _between(0, 1000),
    "judges": _judges,
    "label_wait_s": _between(0, 600),
    "passes": _count(10_000),
}


@dataclass(frozen=True, slots=True)
class Release:
    """A version of a task as it was published at `released` (seconds since 1970)."""

    task: str
    version: str
    released: float
    files: tuple[IndexedFile, ...]
    rollout: Rollout = field(default_factory=Rollout)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def __bytes__(self) -> bytes:
        """As `parse` reads it."""
        files = [{"name": one.name, "bytes": one.size, "sha256": one.sha256} for one in self.files]
        body = {
            "schema": SCHEMA,
            "task": self.task,
            "version": self.version,
            "released": self.released,
            "files": files,
            "rollout": asdict(self.rollout),
        }
        return orjson.dumps(body, option=orjson.OPT_INDENT_2) + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Release:
        """Trusts nothing. Raises RepositoryError."""
        if len(data) > MAX_RELEASE_BYTES:
            raise RepositoryError(f"a release has more than {MAX_RELEASE_BYTES} bytes")
        try:
            raw = orjson.loads(data)
            if raw["schema"] != SCHEMA:
                raise ValueError(f"schema {raw['schema']!r:.40} is not {SCHEMA}")
            if len(raw["files"]) > MAX_FILES:
                raise ValueError(f"more than {MAX_FILES} files")
            return cls(
                check_name(raw["task"]),
                check_name(raw["version"]),
                _between(0, 1e11)(raw["released"]),
                parse_files(raw["files"]),
                Rollout.parse(raw["rollout"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"missing key {error}" if isinstance(error, KeyError) else str(error)
            raise RepositoryError(f"a release cannot be used: {what[:200]}") from error


def release_path(task: str) -> str:
    """The target that says which version of a task is to serve."""
    return f"{task}/{RELEASE}"


def file_path(task: str, version: str, name: str) -> str:
    """The target that one file of a version is."""
    return f"{task}/{version}/{name}"
