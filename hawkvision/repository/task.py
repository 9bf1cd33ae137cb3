"""`task.toml`: one version of one task, typed. What its outputs mean is its kind's business."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tomli_w

from hawkvision.calibration.scores import CalibrationScores
from hawkvision.cascade.chain import with_chain
from hawkvision.engines.base import DTYPES, ModelSpec
from hawkvision.errors import CalibrationError, RepositoryError
from hawkvision.images.geometry import InputGeometry
from hawkvision.repository.flavours import add_flavours, flavour_tables
from hawkvision.repository.references import References, RungReference
from hawkvision.repository.weights import find_weights, weight_files
from hawkvision.tasks import Itemised, TaskKind, kind_named
from hawkvision.tasks.registry import DEFAULT

SCHEMA = 1
Kind = TaskKind[Any, Any]


@dataclass(frozen=True)
class Rung:
    """One model of a cascade: its files, how to feed it, and how its outputs are read.

    `head` belongs to the task's kind. A middle rung has a `threshold`: at or above that confidence
    it answers, below it hands the image on to the next one. `weights` are the files beside
    the model's in which it keeps values, with their digests.
    """

    name: str
    model: ModelSpec
    sha256: str
    geometry: InputGeometry
    head: Any
    threshold: float | None = None
    measured: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)

    @property
    def present(self) -> bool:
        """Whether the model is here; an edge need not hold the data center's models."""
        return self.model.path.is_file()

    @property
    def files(self) -> tuple[Path, ...]:
        """The model's file, and those that it keeps weights in."""
        return (self.model.path, *(self.model.path.with_name(name) for name in self.weights))

    def check_digest(self) -> None:
        """Raise RepositoryError if a file is missing, differs from its digest, or has none."""
        check_digest(self.model.path, self.sha256)
        for name, sha256 in self.weights.items():
            check_digest(self.model.path.with_name(name), sha256)
        if unknown := sorted(set(weight_files(self.model.path)) - set(self.weights)):
            raise RepositoryError(
                f"{self.model.path} keeps weights in {unknown[0]!r}, which task.toml has no digest "
                "of",
                hint='Calibrate again, or name it: [rungs.weights], "FILE" = "SHA-256".',
            )


@dataclass(frozen=True)
class Numerics:
    """By what the certifying answers were computed, and the answers that prove it.

    `engine` is the registered name, `device`, `platform` and `version` are what it said of itself;
    `references` is the file of reference images with each rung's answers.
    """

    engine: str
    device: str
    platform: str
    version: str
    references: Path
    sha256: str = ""

    def as_dict(self) -> dict[str, str]:
        """For people and programs that ask for which engine a certificate holds."""
        names = ("engine", "device", "platform", "version")
        return {name: str(getattr(self, name)) for name in names}


@dataclass(frozen=True)
class Task:
    """What a cascade answers: its kind, rungs from small to large, calibration.

    `tiers`, where there are any, are the accuracy targets that hold all at once (δ is split among
    them). `numerics` is None in tasks that were calibrated before certificates named theirs.
    `flavour` names the engine that this task's files are for, empty where they suit any;
    `flavours` are the other ones, each whole, with a certificate of its own. `upper` is the flavour
    that the data center runs, where it is not this one, but for the first `own` rungs.
    """

    name: str
    version: str
    description: str
    kind: Kind
    default_accuracy: float
    rungs: tuple[Rung, ...]
    calibration: Path
    calibration_sha256: str
    folder: Path = field(default_factory=Path)
    tiers: tuple[float, ...] = ()
    numerics: Numerics | None = None
    flavour: str = ""
    flavours: Mapping[str, Task] = field(default_factory=dict)
    upper: Task | None = None
    own: int = 1

    @property
    def labels(self) -> tuple[str, ...]:
        """The names that answers use."""
        return self.kind.labels

    @property
    def aliases(self) -> Mapping[str, str]:
        """Other names of labels."""
        return self.kind.aliases

    def rung(self, name: str) -> Rung:
        """The rung called `name`. Raises RepositoryError."""
        for rung in self.rungs:
            if rung.name == name:
                return rung
        raise RepositoryError(
            f"task {self.name!r} has no rung {name!r}",
            hint=f"It has {', '.join(rung.name for rung in self.rungs)}.",
        )

    @property
    def thresholds(self) -> tuple[float, ...]:
        """By place, from which confidence a rung above the first answers; without one, always."""
        return tuple(0.0 if rung.threshold is None else rung.threshold for rung in self.rungs)

    @property
    def every_rung(self) -> tuple[Rung, ...]:
        """The rungs of this and of every other flavour."""
        return tuple(rung for one in (self, *self.flavours.values()) for rung in one.rungs)

    def as_flavour(self, name: str) -> Task:
        """This task with the files that the engine `name` wants; itself where it has none such."""
        return self.flavours.get(name, self)

    def below(self, name: str, own: int = 1) -> Task:
        """This task at the edge of a data center whose engine wants the flavour `name`.

        The edge holds its `own` first rungs.
        """
        there = {self.flavour: self, **self.flavours}
        upper = there.get(name, there[""])
        if upper is self:
            return self
        return replace(self, rungs=(*self.rungs[:own], *upper.rungs[own:]), upper=upper, own=own)

    @property
    def dc_flavour(self) -> str:
        """The flavour whose answers the thresholds expect from the data center."""
        return self.flavour if self.upper is None else self.upper.flavour

    def references(self) -> References | None:
        """The reference images, their digest checked; None without. Raises RepositoryError."""
        if self.numerics is None:
            return None
        check_digest(self.numerics.references, self.numerics.sha256)
        return References.load(self.numerics.references).of_flavour(self.flavour)

    def reference(self, rung: str) -> RungReference | None:
        """The reference images of one rung, or None. Raises RepositoryError."""
        found = self.references()
        return None if found is None else found.rungs.get(rung)

    def scores(self) -> CalibrationScores:
        """The held-out scores, their digest checked. Raises RepositoryError."""
        check_digest(self.calibration, self.calibration_sha256)
        kind = self.kind
        found = CalibrationScores.load(
            self.calibration,
            binary=kind.binary,
            losses_of=kind.losses_of if isinstance(kind, Itemised) else None,
        )
        if self.upper is None or self.upper.calibration == self.calibration:
            return found
        try:
            found = found.below(self.upper.scores(), self.own)
        except CalibrationError as error:
            raise RepositoryError(
                f"flavours of task {self.name!r}: {error.message}",
                hint="Run both sides in the same flavour, or calibrate both on the same images.",
            ) from error
        if self.own == 1:
            return found
        return with_chain(found, range(1, len(self.rungs)), self.thresholds)


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_digest(path: Path, expected: str) -> None:
    """Raise RepositoryError if a file is missing or differs from its digest."""
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
    kind = kind_named(str(raw.get("kind", DEFAULT))).parse(raw)
    tables = flavour_tables(raw)
    return with_flavours(
        _parse_one(raw, folder, kind),
        {name: _parse_one(table, folder, kind) for name, table in tables.items()},
    )


def with_flavours(task: Task, flavours: Mapping[str, Task]) -> Task:
    """The task with these flavours; each of them knows all others."""
    plain = replace(task, flavour="", flavours={})
    every = {name: replace(one, flavour=name, flavours={}) for name, one in flavours.items()}
    known = {
        name: replace(
            one, flavours={"": plain, **{key: it for key, it in every.items() if key != name}}
        )
        for name, one in every.items()
    }
    return replace(plain, flavours=known)


def _parse_one(raw: dict[str, Any], folder: Path, kind: Kind) -> Task:
    return Task(
        name=str(raw["name"]),
        version=folder.name,
        description=str(raw.get("description", "")),
        kind=kind,
        default_accuracy=float(raw["default_accuracy"]),
        rungs=tuple(_parse_rung(rung, folder, kind) for rung in raw["rungs"]),
        calibration=_inside(folder, raw["calibration"]["file"]),
        calibration_sha256=str(raw["calibration"]["sha256"]),
        folder=folder,
        tiers=tuple(sorted(float(tier) for tier in raw.get("tiers", ()))),
        numerics=_parse_numerics(raw["numerics"], folder) if "numerics" in raw else None,
    )


def _inside(folder: Path, name: str) -> Path:
    """A file of the version's folder. Raises ValueError for one that lies elsewhere."""
    file = Path(name)
    if file.is_absolute() or ".." in file.parts:
        raise ValueError(f"file {file} must lie in the version's folder")
    return folder / file


def _parse_numerics(raw: dict[str, Any], folder: Path) -> Numerics:
    return Numerics(
        engine=str(raw["engine"]),
        device=str(raw["device"]),
        platform=str(raw["platform"]),
        version=str(raw["version"]),
        references=_inside(folder, raw["file"]),
        sha256=str(raw["sha256"]),
    )


def _parse_rung(raw: dict[str, Any], folder: Path, kind: Kind) -> Rung:
    source = raw["input"]
    for key, allowed in (("layout", ("NCHW", "NHWC")), ("dtype", DTYPES)):
        if source[key] not in allowed:
            raise ValueError(f"{key} {source[key]!r} is not one of {', '.join(allowed)}")
    if source.get("channels", "RGB") not in ("RGB", "BGR"):
        raise ValueError(f"channels {source['channels']!r} is not one of RGB, BGR")
    if source["fit"] not in ("cover", "stretch"):
        raise ValueError(f"fit {source['fit']!r} is not one of cover, stretch")
    return Rung(
        name=str(raw["name"]),
        model=ModelSpec(
            path=_inside(folder, raw["file"]),
            layout=source["layout"],
            dtype=source["dtype"],
            mean=tuple(float(value) for value in source.get("mean", (0, 0, 0))),
            std=tuple(float(value) for value in source.get("std", (1, 1, 1))),
            precision=str(raw.get("precision", "fp32")),
            channels=source.get("channels", "RGB"),
            outputs=tuple(str(name) for name in raw.get("outputs", ())),
        ),
        sha256=str(raw["sha256"]),
        geometry=InputGeometry(int(source["width"]), int(source["height"]), source["fit"]),
        head=kind.parse_head(raw),
        threshold=float(raw["threshold"]) if "threshold" in raw else None,
        measured={key: _number(value) for key, value in raw.get("measured", {}).items()},
        weights={
            _inside(folder, name).name: str(sha256)
            for name, sha256 in dict(raw.get("weights", {})).items()
        },
    )


def _number(value: Any) -> float:
    """A whole number stays one, so that writing what was read changes nothing."""
    return value if isinstance(value, int) else float(value)


def write_task(task: Task) -> None:
    """Write `task.folder/task.toml`, computing the digests of the files that lie there.

    Its flavours are written with it; give the plain task. Raises RepositoryError for weights that
    are not there.
    """
    raw = _task_table(task)
    if task.flavours:
        add_flavours(raw, {name: _task_table(one) for name, one in task.flavours.items()})
    (task.folder / "task.toml").write_bytes(tomli_w.dumps(raw).encode())


def _task_table(task: Task) -> dict[str, Any]:
    raw: dict[str, Any] = {"schema": SCHEMA, "name": task.name}
    if task.kind.name != DEFAULT:
        raw["kind"] = task.kind.name
    raw |= {
        "description": task.description,
        "default_accuracy": task.default_accuracy,
        **task.kind.as_table(),
        "calibration": {"file": task.calibration.name, "sha256": digest(task.calibration)},
        "rungs": [_rung_table(rung, task.kind) for rung in task.rungs],
    }
    if task.tiers:
        raw["tiers"] = list(task.tiers)
    if task.numerics is not None:
        file = task.numerics.references
        raw["numerics"] = {
            **task.numerics.as_dict(),
            "file": file.name,
            "sha256": digest(file),
        }
    return raw


def _rung_table(rung: Rung, kind: Kind) -> dict[str, Any]:
    model = rung.model
    source: dict[str, Any] = {
        "width": rung.geometry.width,
        "height": rung.geometry.height,
        "fit": rung.geometry.fit,
        "layout": model.layout,
        "dtype": model.dtype,
    }
    if model.dtype != "uint8":
        source |= {"mean": list(model.mean), "std": list(model.std)}
    if model.channels != "RGB":
        source["channels"] = model.channels
    table: dict[str, Any] = {
        "name": rung.name,
        "file": model.path.name,
        "sha256": digest(model.path),
        "precision": model.precision,
        **kind.head_table(rung.head),
    }
    if rung.threshold is not None:
        table["threshold"] = rung.threshold
    if model.outputs:
        table["outputs"] = list(model.outputs)
    if weights := find_weights(model.path):
        table["weights"] = {path.name: digest(path) for path in weights}
    return table | {"input": source, "measured": dict(rung.measured)}
