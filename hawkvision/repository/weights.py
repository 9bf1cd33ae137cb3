"""Weights that an ONNX file keeps beside itself: which files, and a copy that takes them along.

An exporter may leave values in other files (`model.onnx.data`), named by a path relative to the
model. Source: onnx.ai, "External Data". What a file names is trusted in nothing: only files of the
model's own folder are read.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from hawkvision.errors import RepositoryError
from hawkvision.repository.onnx_graph import external_tensors, read_model

_SUFFIX = ".data"
_ALIGNED = 65536
"""Bytes; a page on every system, so that runtimes can map the file."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a tensor's values lie: a file as the model names it, and the part of that file."""

    location: str
    offset: int
    length: int | None


def weight_files(model: Path) -> tuple[str, ...]:
    """Names of the files, relative to its folder, in which an ONNX file keeps weights; sorted.

    Files of other formats have none. Raises RepositoryError for a name that leads out of the
    model's folder, or a file that is no ONNX.
    """
    if model.suffix != ".onnx":
        return ()
    return tuple(sorted({place.location for place in _places(model, read_model(model))}))


def find_weights(model: Path) -> list[Path]:
    """The files of `weight_files`, all there. Raises RepositoryError."""
    found = []
    for name in weight_files(model):
        path = model.parent / name
        if not path.is_file():
            raise RepositoryError(
                f"{model.name} keeps weights in {name}, which is not beside it",
                hint=f"Put {name} into the folder of {model.name}: they belong together.",
            )
        homes = {model.parent.resolve(), model.resolve().parent}
        if not any(path.resolve().is_relative_to(home) for home in homes):
            raise _outside(model, name)
        found.append(path)
    return found


def stored_bytes(model: Path) -> int:
    """Size of a model with all its weights. Raises RepositoryError."""
    return sum(path.stat().st_size for path in (model, *find_weights(model)))


def copy_model(source: Path, target: Path) -> None:
    """Copy a model; its weights go into one file, `<target>.data`, whatever they were kept in.

    Raises RepositoryError.
    """
    files = {path.relative_to(source.parent).as_posix(): path for path in find_weights(source)}
    if not files:
        shutil.copyfile(source, target)
        return
    beside = target.with_name(target.name + _SUFFIX)
    starts: dict[str, int] = {}
    with beside.open("wb") as out:
        for name, path in files.items():
            out.write(b"\0" * (-out.tell() % _ALIGNED))
            starts[name] = out.tell()
            with path.open("rb") as stream:
                shutil.copyfileobj(stream, out)
    model = read_model(source)
    for tensor in external_tensors(model):
        place = _place(source, tensor)
        _check_part(source, place, files[place.location].stat().st_size)
        values = {"location": beside.name, "offset": str(starts[place.location] + place.offset)}
        if place.length is None:
            size = files[place.location].stat().st_size
            values["length"] = str(size - place.offset)
        else:
            values["length"] = str(place.length)
        del tensor.external_data[:]
        for key, value in values.items():
            tensor.external_data.add(key=key.encode(), value=value.encode())
    target.write_bytes(model.SerializeToString())


def _places(path: Path, model: Any) -> Iterator[_Place]:
    for tensor in external_tensors(model):
        yield _place(path, tensor)


def _place(path: Path, tensor: Any) -> _Place:
    entries = {
        entry.key.decode("utf-8", "replace"): entry.value.decode("utf-8", "replace")
        for entry in tensor.external_data
    }
    named = entries.get("location", "")
    location = PurePosixPath(named)
    if (
        not location.parts
        or location.is_absolute()
        or ".." in location.parts
        or any(sign in named for sign in "\\:\0")
    ):
        raise _outside(path, named)
    try:
        offset = int(entries.get("offset") or 0)
        length = int(entries["length"]) if entries.get("length") else None
    except ValueError as error:
        raise RepositoryError(
            f"{path.name}: a tensor's place in {named[:80]!r} is no number", hint="Export it again."
        ) from error
    if offset < 0 or (length is not None and length < 0):
        raise RepositoryError(
            f"{path.name}: a tensor's place in {named[:80]!r} is below 0", hint="Export it again."
        )
    return _Place(str(location), offset, length)


def _check_part(path: Path, place: _Place, size: int) -> None:
    if place.offset + (place.length or 0) > size:
        raise RepositoryError(
            f"{place.location}, where {path.name} keeps weights, is cut short: {size} bytes",
            hint="Copy it again, or export the model again.",
        )


def _outside(path: Path, name: str) -> RepositoryError:
    return RepositoryError(
        f"{path.name} wants weights from {name[:200]!r}, which is not in its own folder",
        hint="Weights are read from the model's folder only; export the model again, with its "
        "weights beside it.",
    )
