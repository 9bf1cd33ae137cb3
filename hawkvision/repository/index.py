"""`index.json`: what a model repository that is served over HTTP holds, with sizes and digests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from hawkvision.errors import RepositoryError
from hawkvision.repository.task import digest, read_task

SCHEMA = 1
INDEX = "index.json"
MAX_INDEX_BYTES = 16 * 1024 * 1024
_MAX_FILE_BYTES = 64 * 1024**3
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """One file of a version, directly in its folder."""

    name: str
    size: int
    sha256: str


Index = Mapping[str, Mapping[str, tuple[IndexedFile, ...]]]
"""Files by task and version."""


def build_index(root: Path) -> dict[str, dict[str, tuple[IndexedFile, ...]]]:
    """Look at every `<task>/<version>/` that has a `task.toml`. Raises RepositoryError."""
    found: dict[str, dict[str, tuple[IndexedFile, ...]]] = {}
    for path in sorted(root.glob("*/*/task.toml")):
        folder = path.parent
        files = tuple(
            IndexedFile(file.name, file.stat().st_size, digest(file))
            for file in sorted(folder.iterdir())
            if file.is_file() and _NAME.fullmatch(file.name)
        )
        names = {file.name for file in files}
        for rung in read_task(folder).every_rung:
            for file in rung.files:
                if rung.present and file.name not in names:
                    raise RepositoryError(
                        f"{file} is missing, or has a name that an index cannot hold",
                        hint="Letters, digits, '_', '-' and '.'; `hawkvision models verify`.",
                    )
        found.setdefault(folder.parent.name, {})[folder.name] = files
    if not found:
        raise RepositoryError(f"no tasks in {root}", hint="Give the folder above the tasks.")
    return found


def write_index(root: Path) -> Path:
    """Write `root/index.json` for what lies there now; its path."""
    tasks = {
        task: {
            version: [
                {"name": file.name, "bytes": file.size, "sha256": file.sha256} for file in files
            ]
            for version, files in versions.items()
        }
        for task, versions in build_index(root).items()
    }
    path = root / INDEX
    body = {"schema": SCHEMA, "tasks": tasks}
    path.write_bytes(orjson.dumps(body, option=orjson.OPT_INDENT_2) + b"\n")
    return path


def parse_index(data: bytes) -> Index:
    """Parse what `write_index` wrote, trusting nothing. Raises RepositoryError."""
    try:
        raw = orjson.loads(data)
        if raw["schema"] != SCHEMA:
            raise ValueError(f"schema {raw['schema']!r} is not {SCHEMA}")
        return {
            check_name(task): {
                check_name(version): parse_files(files) for version, files in dict(versions).items()
            }
            for task, versions in dict(raw["tasks"]).items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        fault = f"missing key {error}" if isinstance(error, KeyError) else str(error)
        raise RepositoryError(
            f"the index cannot be used: {fault[:200]}",
            hint="Make it with `hawkvision models index DIR` on the server.",
        ) from error


def check_name(text: Any) -> str:
    """A name as it may stand in a path. Raises ValueError."""
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise ValueError(f"{str(text)[:80]!r} is no name of a task, version or file")
    return text


def parse_files(raw: Any) -> tuple[IndexedFile, ...]:
    """The files of one version, trusting nothing. Raises KeyError, TypeError or ValueError."""
    files = []
    for item in list(raw):
        size, sha256 = item["bytes"], item["sha256"]
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MAX_FILE_BYTES:
            raise ValueError(f"{str(size)[:40]} is no size")
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise ValueError("a digest is not 64 hexadecimal digits")
        files.append(IndexedFile(check_name(item["name"]), size, sha256))
    names = {file.name for file in files}
    if len(names) != len(files) or "task.toml" not in names:
        raise ValueError("a version needs a task.toml, and different file names")
    return tuple(files)
