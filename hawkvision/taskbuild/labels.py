"""Files that name a model's outputs, in the forms that people have them.

Text, a label a line, with or without its index (`0 tench`) or WordNet id (`n01440764 tench, Tinca
tinca`); CSV; JSON lists, `{index: label}` and `{label: index}`; Keras' `imagenet_class_index.json`
and `class_indices`; Hugging Face's `config.json` (`id2label`, `label2id`).
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hawkvision.errors import CalibrationError
from hawkvision.taskbuild.beside import beside as files_beside

_MOST_BYTES = 16 * 1024 * 1024
_INDEXED = re.compile(r"(\d+)\s*[\s:;,]\s*(\S.*)")
_SYNSET = re.compile(r"(n\d{8})(?:\s*[\s:;,]\s*(\S.*))?")
_ENTRY_INDEX = ("id", "index", "class_id", "class_index", "label_id")
_ENTRY_NAME = ("name", "label", "class", "class_name", "label_name", "words")
_HOLDERS = ("id2label", "label2id", "names", "labels", "classes", "class_names", "class_indices")


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels in the order of a model's outputs, all different; other names of them by output."""

    labels: tuple[str, ...]
    synonyms: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class _Fault(ValueError):
    """What is wrong with a file, with the place."""


class _Object(list[tuple[str, Any]]):
    """A JSON object with its keys as they stand, also those that stand twice."""


def read_labels(path: Path) -> Labels:
    """Labels from a file. Raises CalibrationError naming the file, and the line or key."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise _Fault(f"larger than {_MOST_BYTES // 2**20} MiB")
        text = path.read_text("utf-8-sig")
        if path.suffix.lower() == ".json" or text.lstrip()[:1] in ("{", "["):
            names = _from_json(json.loads(text, object_pairs_hook=_Object))
        elif path.suffix.lower() in (".csv", ".tsv"):
            names = _from_csv(text)
        else:
            names = _from_lines(text)
        return named(names, path.name)
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise CalibrationError(
            f"{path} holds no labels: {error}",
            hint="One label a line in the order of the model's outputs, CSV, a JSON list or "
            "{index: label}, or Hugging Face's config.json.",
        ) from error


def named(names: Sequence[Sequence[str]], where: str) -> Labels:
    """Labels from the names of each output, its label first. Raises ValueError for fewer than two.

    Labels that stand several times (ImageNet has two cranes) are told apart by a WordNet id, or by
    a number.
    """
    rows = [[_plain(name) for name in row if name.strip()] for row in names]
    if any(not row for row in rows):
        raise _Fault(f"output {[bool(row) for row in rows].index(False)} has no name")
    counts = Counter(row[0] for row in rows)
    if len(counts) < 2:
        raise _Fault(f"{len(rows)} labels, {len(counts)} different; at least two are needed")
    seen: Counter[str] = Counter()
    labels: list[str] = []
    for row in rows:
        label = row[0]
        seen[label] += 1
        if counts[label] > 1:
            synset = next((name for name in row[1:] if _is_synset(name)), None)
            row.append(f"{label} ({seen[label]})")  # how a file without ids calls it
            label = f"{label} ({synset or seen[label]})"
        labels.append(label)
    if len(set(labels)) != len(labels):
        raise _Fault(f"{Counter(labels).most_common(1)[0][0]!r} stands twice")
    repeated = sorted(label for label, count in counts.items() if count > 1)
    notes = (
        (
            f"{where}: {', '.join(map(repr, repeated[:5]))} stand for several outputs each; they "
            f"are told apart as {labels[[row[0] for row in rows].index(repeated[0])]!r} and so on",
        )
        if repeated
        else ()
    )
    return Labels(tuple(labels), _synonyms(rows, labels), notes)


def _synonyms(rows: Sequence[Sequence[str]], labels: Sequence[str]) -> dict[str, int]:
    """Other names of outputs, as far as each names one output only."""
    found: dict[str, set[int]] = {}
    for index, row in enumerate(rows):
        for name in row:
            parts = name.split(",")
            for one in (name, name.replace("_", " "), *(part.strip() for part in parts)):
                found.setdefault(one, set()).add(index)
    return {
        name: next(iter(places))
        for name, places in found.items()
        if name and len(places) == 1 and name not in labels
    }


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", " ".join(name.split()))


def _is_synset(name: str) -> bool:
    return re.fullmatch(r"n\d{8}", name) is not None


def _from_lines(text: str) -> list[list[str]]:
    lines = [
        (number, line.strip())
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip()
    ]
    indexed = [_INDEXED.fullmatch(line) for _, line in lines]
    if lines and all(indexed):
        rows = [
            (int(found[1]), _synset_names(found[2]), f"line {number}")
            for (number, _), found in zip(lines, indexed, strict=True)
            if found
        ]
        return _in_order(rows)
    return [_synset_names(line) for _, line in lines]


def _synset_names(text: str) -> list[str]:
    """The label first: of `n01440764 tench, Tinca tinca` the words."""
    found = _SYNSET.fullmatch(text)
    return [found[2], found[1]] if found and found[2] else [text]


def _from_csv(text: str) -> list[list[str]]:
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    rows = [
        (number, [cell.strip() for cell in row])
        for number, row in enumerate(csv.reader(io.StringIO(text), delimiter=delimiter), start=1)
        if any(cell.strip() for cell in row)
    ]
    if not rows:
        raise _Fault("it is empty")
    width = len(rows[0][1])
    for number, row in rows:
        if len(row) != width:
            raise _Fault(f"line {number} has {len(row)} columns, the first has {width}")
    header = [cell.lower() for cell in rows[0][1]]
    if any(cell in _ENTRY_INDEX + _ENTRY_NAME for cell in header):
        rows = rows[1:]
    else:
        header = [""] * width
    index = next((place for place in range(width) if header[place] in _ENTRY_INDEX), None)
    if index is None and width > 1:
        index = next(
            (
                place
                for place in range(width)
                if rows and all(row[place].isdigit() for _, row in rows)
            ),
            None,
        )
    others = [place for place in range(width) if place != index]
    others.sort(key=lambda place: (header[place] not in _ENTRY_NAME, place))
    found = []
    for order, (number, row) in enumerate(rows):
        if index is not None and not row[index].isdigit():
            raise _Fault(f"line {number}: {row[index][:40]!r} is no index")
        names = [row[place] for place in others if row[place]]
        names.sort(key=_is_synset)  # words before WordNet ids
        found.append((order if index is None else int(row[index]), names, f"line {number}"))
    return _in_order(found)


def _from_json(raw: Any, depth: int = 0) -> list[list[str]]:
    if isinstance(raw, _Object):
        inner = dict(raw)
        for key in _HOLDERS:
            if depth == 0 and isinstance(inner.get(key), list):
                return _from_json(inner[key], 1)
        return _in_order([_pair(key, value) for key, value in raw])
    if not isinstance(raw, list):
        raise _Fault("neither a list nor an object")
    if raw and all(isinstance(entry, _Object) for entry in raw):
        return _in_order([_entry(dict(entry), place) for place, entry in enumerate(raw)])
    return [_names(entry, f"entry {place}") for place, entry in enumerate(raw)]


def _pair(key: str, value: Any) -> tuple[int, list[str], str]:
    """`index: label` or `label: index`."""
    if key.strip().isascii() and key.strip().isdigit():
        return int(key), _names(value, f"key {key!r}"), f"key {key!r}"
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value, _synset_names(key), f"key {key!r}"
    raise _Fault(f"key {key[:60]!r}: neither an index nor the label of one")


def _entry(entry: Mapping[str, Any], place: int) -> tuple[int, list[str], str]:
    index = next((entry[key] for key in _ENTRY_INDEX if key in entry), place)
    name = next((entry[key] for key in _ENTRY_NAME if key in entry), None)
    if not isinstance(index, int) or name is None:
        raise _Fault(f"entry {place} has no index and name")
    return index, _names(name, f"entry {place}"), f"entry {place}"


def _names(value: Any, where: str) -> list[str]:
    """The names of one output: a text, or a list of them (Keras: WordNet id, label)."""
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return sorted(value, key=_is_synset)
    if isinstance(value, str):
        return _synset_names(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return [str(value)]
    raise _Fault(f"{where}: {str(value)[:40]!r} is no label")


def _in_order(rows: Iterable[tuple[int, list[str], str]]) -> list[list[str]]:
    """The names by index. Raises ValueError where the indices are not 0, 1, 2, …"""
    ranked = sorted(rows, key=lambda row: row[0])
    for wanted, (index, names, where) in enumerate(ranked):
        if index != wanted:
            what = "stands twice" if index < wanted else f"comes where {wanted} is missing"
            raise _Fault(
                f"{where} ({', '.join(names)[:60]}): index {index} {what}; they run from 0"
            )
    return [names for _, names, _ in ranked]


def beside(model: Path) -> Path | None:
    """Hugging Face's `config.json` with labels, beside a model or in the folder above `onnx/`."""
    for path in files_beside(model, "config.json"):
        try:
            if '"id2label"' in path.read_text("utf-8")[:_MOST_BYTES]:
                return path
        except (OSError, ValueError):
            continue
    return None
