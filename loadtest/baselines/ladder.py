"""Variants of one network from small to large, with what each is worth and costs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hawkvision.engines import Engine, ModelSpec, open_engine
from hawkvision.errors import RepositoryError
from hawkvision.images import InputGeometry
from hawkvision.repository.task import Kind
from hawkvision.rungs import LoadedRung
from hawkvision.tasks import kind_named
from hawkvision.tasks.registry import DEFAULT


@dataclass(frozen=True, slots=True)
class Variant:
    """One network. `accuracy` is its profile: a share, on photos that no variant was trained on."""

    name: str
    path: Path
    precision: str
    side: int
    accuracy: float
    milliseconds: float
    load_milliseconds: float
    memory_mb: float
    temperature: float = 1.0

    def open(self, kind: Kind) -> LoadedRung:
        """Load it and run it once. Raises EngineError."""
        spec = ModelSpec(self.path, "NHWC", "uint8", precision=self.precision)
        return self.around(kind, open_engine(spec, threads=1))

    def around(self, kind: Kind, engine: Engine) -> LoadedRung:
        """The same around an engine that is open; it has run once. Raises EngineError."""
        geometry = InputGeometry(self.side, self.side, "cover")
        head = kind.parse_head({"output": "logits", "temperature": self.temperature})
        loaded = LoadedRung(self.name, engine, geometry, kind, head)
        loaded.predict([loaded.grey()])
        return loaded


@dataclass(frozen=True)
class Ladder:
    """`variants` by cost, the cheapest first; none costs more than another and is worth less."""

    task: str
    kind: Kind
    variants: tuple[Variant, ...]

    @classmethod
    def read(cls, folder: Path) -> Ladder:
        """From a folder that `python -m models.recipes.ladder` wrote. Raises RepositoryError."""
        path = folder / "ladder.json"
        try:
            body = json.loads(path.read_text())
            kind = kind_named(DEFAULT).parse({"labels": body["labels"], "aliases": {}})
            found = [_variant(folder, row) for row in body["variants"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RepositoryError(
                f"{path} is no ladder: {type(error).__name__}: {error}",
                hint="Write one: python -m models.recipes.ladder --out DIR.",
            ) from error
        return cls(body["task"], kind, useful(found))

    def only(self, names: tuple[str, ...]) -> Ladder:
        """The variants with these names. Raises RepositoryError where one is not there."""
        if not names:
            return self
        found = {one.name: one for one in self.variants}
        if missing := [name for name in names if name not in found]:
            raise RepositoryError(
                f"no variant {missing[0]!r}", hint=f"There are {', '.join(found)}."
            )
        return Ladder(self.task, self.kind, tuple(found[name] for name in names))


def useful(variants: list[Variant]) -> tuple[Variant, ...]:
    """By cost, without those that a cheaper one is worth as much as."""
    kept: list[Variant] = []
    for one in sorted(variants, key=lambda one: one.milliseconds):
        if not kept or one.accuracy > kept[-1].accuracy:
            kept.append(one)
    return tuple(kept)


def _variant(folder: Path, row: dict[str, Any]) -> Variant:
    return Variant(
        name=str(row["name"]),
        path=folder / row["file"],
        precision=str(row["precision"]),
        side=int(row["input_side"]),
        accuracy=float(row["accuracy_calibrating"]),
        milliseconds=float(row["milliseconds"]),
        load_milliseconds=float(row["load_milliseconds"]),
        memory_mb=float(row["memory_mb"]),
        temperature=float(row.get("temperature") or 1.0),
    )
