"""Labelled images in parquet, as Hugging Face data sets keep them.

A column of encoded images, `struct<bytes, path>` or plain binary, and a column of labels, text or
integers whose names stand in the schema's `huggingface` metadata (ClassLabel). Source:
huggingface.co/docs/datasets, "Image" and "ClassLabel" features.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hawkvision.datasets.types import LabelledSet
from hawkvision.errors import DatasetError

_IMAGE_COLUMNS = ("image", "img", "jpg", "png", "bytes")
_LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "cls", "target")
_SPLITS = frozenset({"train", "val", "valid", "validation", "dev", "test", "eval"})
_ROWS = 256


def find_files(source: Path, split: str | None) -> list[Path]:
    """Parquet files in a folder (those of `split`, or of several, `a,b`), or the file itself.

    Raises DatasetError where a split has no files, or several have and none is named.
    """
    if source.is_file():
        return [source] if source.suffix == ".parquet" else []
    found = _below(source)
    splits = sorted({_split_of(path) for path in found})
    if split is None and len(splits) > 1 and _SPLITS & set(splits):
        raise DatasetError(
            f"the parquet files in {source} are of several splits: {', '.join(splits[:10])}",
            hint=f"Say which is meant, --split {splits[-1]}; take several with "
            f"--split {','.join(splits[:2])}.",
        )
    if split is None or not found:
        return found
    chosen = []
    for part in split.split(","):
        of_part = [path for path in found if _split_of(path) == part] or [
            path for path in found if part and path.name.startswith(part)
        ]
        if not of_part:
            raise DatasetError(
                f"no parquet file of split {part!r} in {source}",
                hint=f"There are {', '.join(path.name for path in found[:5])}.",
            )
        chosen += of_part
    return sorted(set(chosen))


def other_files(source: Path, files: Sequence[Path]) -> list[Path]:
    """The parquet files below a folder that are not among `files`: its other splits."""
    if source.is_file():
        return []
    return sorted(path for path in _below(source) if path not in set(files))


def _below(source: Path) -> list[Path]:
    return sorted(path for path in source.rglob("*.parquet") if not path.name.startswith("."))


def _split_of(path: Path) -> str:
    """`train` of `train-00000-of-00002.parquet` and of `train/0000.parquet`."""
    named = re.match(r"[A-Za-z]+(?:_[A-Za-z]+)*", path.name.removesuffix(".parquet"))
    return named[0] if named else path.parent.name


def open_parquet(source: Path, files: list[Path], others: Sequence[Path] = ()) -> LabelledSet:
    """Index the rows of parquet files; `others` are of other splits. Raises DatasetError.

    Of others only the images count: their labels are not looked at (test splits of Hugging Face
    often have none), and those without images are passed over.
    """
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise DatasetError(
            f"{source} holds parquet, and pyarrow is not installed",
            hint="pip install 'hawkvision[parquet]'.",
        ) from error
    members: list[tuple[str, str]] = []
    for path in files:
        try:
            table = pyarrow.parquet.ParquetFile(path)
            _, label = _columns(path, table.schema_arrow)
            names = _class_names(table.schema_arrow, label)
            values = table.read(columns=[label]).column(label).to_pylist()
        except (OSError, ValueError) as error:
            raise DatasetError(f"{path} cannot be read as parquet: {error}") from error
        for row, value in enumerate(values):
            if value is not None:
                members.append((_member(source, path, row), _text(value, names, path)))
    labels = tuple(sorted({label for _, label in members}))
    if not labels:
        raise DatasetError(f"no labelled rows in {source}", hint="The label column is empty.")

    elsewhere = {path: rows for path in others if (rows := _rows(path))}

    def read(_source: Path, wanted: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
        homes = {name.rpartition("#")[0] for name in wanted}
        for path in (*files, *elsewhere):
            if _home(source, path) in homes:
                yield from _read(source, path, wanted)

    return LabelledSet(
        source,
        labels,
        tuple(sorted(members)),
        read,
        others=tuple(
            (_member(source, path, row), "")
            for path, rows in elsewhere.items()
            for row in range(rows)
        ),
    )


def _rows(path: Path) -> int:
    """How many rows with images a file has; 0 for one that holds none, or cannot be read."""
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(path)
    except (OSError, ValueError):
        return 0
    return int(table.metadata.num_rows) if _image_column(table.schema_arrow) else 0


def _member(source: Path, path: Path, row: int) -> str:
    return f"{_home(source, path)}#{row:07d}"


def _home(source: Path, path: Path) -> str:
    """A file's part of its rows' names: files of one name may lie in several folders."""
    return path.relative_to(source).as_posix() if path != source else path.name


def _columns(path: Path, schema: Any) -> tuple[str, str]:
    image = _image_column(schema)
    label = next((name for name in _LABEL_COLUMNS if name in schema.names), None)
    if image is None or label is None:
        raise DatasetError(
            f"{path.name} has the columns {', '.join(schema.names[:10])}",
            hint=f"An image column ({', '.join(_IMAGE_COLUMNS)}) and a label column "
            f"({', '.join(_LABEL_COLUMNS)}) are expected.",
        )
    return image, label


def _image_column(schema: Any) -> str | None:
    return next((name for name in _IMAGE_COLUMNS if name in schema.names), None)


def _class_names(schema: Any, column: str) -> list[str] | None:
    """Names of a ClassLabel column from the schema's metadata."""
    raw = (schema.metadata or {}).get(b"huggingface", b"")
    try:
        names = json.loads(raw)["info"]["features"][column]["names"]
    except (TypeError, ValueError, KeyError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None


def _text(value: Any, names: list[str] | None, path: Path) -> str:
    if names is None or not isinstance(value, int):
        return str(value)
    if not 0 <= value < len(names):
        raise DatasetError(f"{path.name}: label {value} has no name; there are {len(names)}")
    return names[value]


def _read(source: Path, path: Path, wanted: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    import pyarrow.parquet

    table = pyarrow.parquet.ParquetFile(path)
    image = _image_column(table.schema_arrow)
    row = 0
    for batch in table.iter_batches(batch_size=_ROWS, columns=[image]):
        for value in batch.column(0).to_pylist():
            name = _member(source, path, row)
            row += 1
            if name in wanted:
                data = value["bytes"] if isinstance(value, dict) else value
                yield name, data if isinstance(data, bytes) else b""
