"""`task.toml`: one version of one task, typed."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import tomli_w

from hawkvision.calibration.scores import CalibrationScores
from hawkvision.engines.base import ModelSpec
from hawkvision.errors import RepositoryError
from hawkvision.images.geometry import InputGeometry

SCHEMA = 1


@dataclass(frozen=True)
class Rung:
    """One model of a cascade: its file, how to feed it, and its temperature.

    A middle rung has a `threshold`: at or above that confidence it answers, below it hands the
    image on within the data center.
    """

    name: str
    model: ModelSpec
    sha256: str
    geometry: InputGeometry
    temperature: float
    threshold: float | None = None
    measured: Mapping[str, float] = field(default_factory=dict)

    @property
    def present(self) -> bool:
        """Whether the file is here; an edge need not hold the data center's models."""
        return self.model.path.is_file()


@dataclass(frozen=True)
class Task:
    """What a cascade answers: labels, rungs from small to large, calibration.

    `aliases` map other names of a class (a WordNet id, say) to its label. `tiers`, where there are
    any, are the accuracy targets that hold all at once (δ is split among them).
    """

    name: str
    version: str
    description: str
    labels: tuple[str, ...]
    default_accuracy: float
    rungs: tuple[Rung, ...]
    calibration: Path
    calibration_sha256: str
    aliases: Mapping[str, str] = field(default_factory=dict)
    folder: Path = field(default_factory=Path)
    tiers: tuple[float, ...] = ()

    def rung(self, name: str) -> Rung:
        """The rung called `name`. Raises RepositoryError."""
        for rung in self.rungs:
            if rung.name == name:
                return rung
        raise RepositoryError(
            f"task {self.name!r} has no rung {name!r}",
            hint=f"It has {', '.join(rung.name for rung in self.rungs)}.",
        )

    @cached_property
    def class_ids(self) -> dict[str, int]:
        """Class index by label and by alias."""
        ids = {label: index for index, label in enumerate(self.labels)}
        return ids | {alias: ids[label] for alias, label in self.aliases.items()}

    def scores(self) -> CalibrationScores:
        """The held-out scores, their digest checked. Raises RepositoryError."""
        _check_digest(self.calibration, self.calibration_sha256)
        return CalibrationScores.load(self.calibration)

    def check_digest(self, rung: Rung) -> None:
        """Raise RepositoryError if the rung's file is missing or differs from its digest."""
        _check_digest(rung.model.path, rung.sha256)


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_digest(path: Path, expected: str) -> None:
    if not path.is_file():
        raise RepositoryError(
            f"{path} is missing", hint="Copy the whole version folder, or install it again."
        )
    if digest(path) != expected:
        raise RepositoryError(
            f"{path} does not match its digest", hint="The file is damaged; install it again."
        )


def read_task(folder: Path) -> Task:
    """Read `folder/task.toml`. Raises RepositoryError naming the file and the fault."""
    path = folder / "task.toml"
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
        return _parse(raw, folder)
    except (OSError, KeyError, TypeError, ValueError) as error:
        fault = f"missing key {error}" if isinstance(error, KeyError) else str(error)
        raise RepositoryError(
            f"{path}: {fault}", hint="See docs/bring-your-models.md for the format."
        ) from error


def _parse(raw: dict[str, Any], folder: Path) -> Task:
    if raw["schema"] != SCHEMA:
        raise ValueError(f"schema {raw['schema']} is not {SCHEMA}")
    labels = tuple(str(label) for label in raw["labels"])
    if len(set(labels)) != len(labels) or len(labels) < 2:
        raise ValueError("labels must be at least two, all different")
    aliases = {str(alias): str(label) for alias, label in raw.get("aliases", {}).items()}
    unknown = sorted(set(aliases.values()) - set(labels))
    if unknown:
        raise ValueError(f"aliases of unknown labels: {', '.join(unknown)}")
    return Task(
        name=str(raw["name"]),
        version=folder.name,
        description=str(raw.get("description", "")),
        labels=labels,
        default_accuracy=float(raw["default_accuracy"]),
        rungs=tuple(_parse_rung(rung, folder) for rung in raw["rungs"]),
        calibration=folder / raw["calibration"]["file"],
        calibration_sha256=str(raw["calibration"]["sha256"]),
        aliases=aliases,
        folder=folder,
        tiers=tuple(sorted(float(tier) for tier in raw.get("tiers", ()))),
    )


def _parse_rung(raw: dict[str, Any], folder: Path) -> Rung:
    source = raw["input"]
    file = Path(raw["file"])
    if file.is_absolute() or ".." in file.parts:
        raise ValueError(f"file {file} must lie in the version's folder")
    for key, allowed in (("layout", ("NCHW", "NHWC")), ("dtype", ("uint8", "float32"))):
        if source[key] not in allowed:
            raise ValueError(f"{key} {source[key]!r} is not one of {', '.join(allowed)}")
    if source.get("channels", "RGB") not in ("RGB", "BGR"):
        raise ValueError(f"channels {source['channels']!r} is not one of RGB, BGR")
    if source["fit"] not in ("cover", "stretch"):
        raise ValueError(f"fit {source['fit']!r} is not one of cover, stretch")
    return Rung(
        name=str(raw["name"]),
        model=ModelSpec(
            path=folder / file,
            layout=source["layout"],
            dtype=source["dtype"],
            mean=tuple(float(value) for value in source.get("mean", (0, 0, 0))),
            std=tuple(float(value) for value in source.get("std", (1, 1, 1))),
            output=raw.get("output", "logits"),
            precision=str(raw.get("precision", "fp32")),
            channels=source.get("channels", "RGB"),
            select=tuple(int(index) for index in raw.get("select", ())),
        ),
        sha256=str(raw["sha256"]),
        geometry=InputGeometry(int(source["width"]), int(source["height"]), source["fit"]),
        temperature=float(raw["temperature"]),
        threshold=float(raw["threshold"]) if "threshold" in raw else None,
        measured={key: float(value) for key, value in raw.get("measured", {}).items()},
    )


def write_task(task: Task) -> None:
    """Write `task.folder/task.toml`, computing the digests of the files that lie there."""
    raw: dict[str, Any] = {
        "schema": SCHEMA,
        "name": task.name,
        "description": task.description,
        "default_accuracy": task.default_accuracy,
        "labels": list(task.labels),
        "calibration": {"file": task.calibration.name, "sha256": digest(task.calibration)},
        "rungs": [_rung_table(rung) for rung in task.rungs],
    }
    if task.tiers:
        raw["tiers"] = list(task.tiers)
    if task.aliases:
        raw["aliases"] = dict(task.aliases)
    (task.folder / "task.toml").write_bytes(tomli_w.dumps(raw).encode())


def _rung_table(rung: Rung) -> dict[str, Any]:
    model = rung.model
    source: dict[str, Any] = {
        "width": rung.geometry.width,
        "height": rung.geometry.height,
        "fit": rung.geometry.fit,
        "layout": model.layout,
        "dtype": model.dtype,
    }
    if model.dtype == "float32":
        source |= {"mean": list(model.mean), "std": list(model.std)}
    if model.channels != "RGB":
        source["channels"] = model.channels
    table: dict[str, Any] = {
        "name": rung.name,
        "file": model.path.name,
        "sha256": digest(model.path),
        "precision": model.precision,
        "output": model.output,
        "temperature": rung.temperature,
    }
    if rung.threshold is not None:
        table["threshold"] = rung.threshold
    if model.select:
        table["select"] = list(model.select)
    return table | {"input": source, "measured": dict(rung.measured)}
