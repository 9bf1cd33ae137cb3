"""Fetch versions of tasks from a repository at a URL: resumed, checked, placed when whole."""

from __future__ import annotations

import shutil
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import urllib3

from hawkvision.errors import RepositoryError, UnknownTask
from hawkvision.repository.index import (
    INDEX,
    MAX_INDEX_BYTES,
    Index,
    IndexedFile,
    parse_index,
)
from hawkvision.repository.origin import Origin
from hawkvision.repository.repository import version_key
from hawkvision.repository.task import digest, read_task

_PARTIAL = ".partial"
_CHUNK = 256 * 1024
_TRIES = 5
_FIRST_PAUSE_S = 0.2
_TIMEOUT = urllib3.Timeout(connect=10, read=30)

Progress = Callable[[str, int, int], None]
"""Called with a file's path, the bytes that just came, and its size."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """A version that is here now; `fetched` is False where it was already."""

    task: str
    version: str
    folder: Path
    fetched: bool


class _Broken(Exception):
    """The transfer stopped midway; what came is kept."""


class Puller:
    """Fetches from one URL into one repository folder. Raises RepositoryError, UnknownTask."""

    def __init__(
        self, url: str, root: Path, progress: Progress = lambda _file, _bytes, _size: None
    ) -> None:
        origin = Origin.parse(url, f"a repository with an {INDEX}")
        self._base, self._query, self._headers = origin.base, origin.query, origin.headers
        self._http = urllib3.PoolManager(timeout=_TIMEOUT, retries=False)
        self._root = root
        self._progress = progress

    def index(self) -> Index:
        """What the repository holds."""
        return parse_index(self._small(INDEX, MAX_INDEX_BYTES))

    def pull(
        self, index: Index, task: str, version: str | None = None, rungs: Sequence[str] = ()
    ) -> Pulled:
        """Bring one version of a task here, the newest if none is named.

        With `rungs`, model files of other rungs are left out. A version appears only when all of
        its files are here and match their digests; one that is here and whole is left alone.
        """
        if task not in index or not index[task]:
            known = ", ".join(sorted(index)) or "none"
            raise UnknownTask(f"no task {task[:80]!r} at {self._base}", hint=f"There: {known}.")
        versions = index[task]
        chosen = version or max(versions, key=version_key)
        if chosen not in versions:
            raise UnknownTask(
                f"task {task!r} has no version {chosen[:40]!r} at {self._base}",
                hint=f"It has {', '.join(sorted(versions, key=version_key))}.",
            )
        final = self._root / task / chosen
        partial = self._root / _PARTIAL / task / chosen
        if all(_matches(final / file.name, file) for file in versions[chosen]):
            shutil.rmtree(partial, ignore_errors=True)
            return Pulled(task, chosen, final, fetched=False)
        partial.mkdir(parents=True, exist_ok=True)
        if final.is_dir():  # what is good there need not be fetched again
            for file in versions[chosen]:
                if _matches(final / file.name, file):
                    shutil.copyfile(final / file.name, partial / file.name)
        by_name = {file.name: file for file in versions[chosen]}
        self._file(task, chosen, by_name["task.toml"], partial)
        skipped = other_rungs(partial / "task.toml", rungs)
        wanted = [file for file in versions[chosen] if file.name not in skipped]
        if final.is_dir() and all(_matches(final / file.name, file) for file in wanted):
            shutil.rmtree(partial)
            return Pulled(task, chosen, final, fetched=False)
        for file in wanted:
            self._file(task, chosen, file, partial)
        _remove_unknown(partial, {file.name for file in wanted})
        for rung in read_task(partial).every_rung:
            if rung.present:
                rung.check_digest()
        _place(partial, final)
        return Pulled(task, chosen, final, fetched=True)

    def _url(self, *parts: str) -> str:
        return "/".join([self._base, *(quote(part, safe="") for part in parts)]) + self._query

    def _small(self, name: str, limit: int) -> bytes:
        for _ in self._tries(name):
            try:
                with self._get(self._url(name), {}) as reply:
                    _check_status(reply.status, name, self._base)
                    body: bytes = reply.read(limit + 1)
            except urllib3.exceptions.HTTPError:
                continue
            if len(body) > limit:
                raise RepositoryError(f"{name} is larger than {limit} bytes")
            return body
        raise self._unreachable()

    def _get(self, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        return self._http.request(
            "GET", url, headers={**self._headers, **headers}, preload_content=False
        )

    def _tries(self, _what: str) -> Iterator[int]:
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(_FIRST_PAUSE_S * 2 ** (attempt - 1))
            yield attempt

    def _file(self, task: str, version: str, file: IndexedFile, folder: Path) -> None:
        """Fetch one file, resuming what is here; from the start once if the digest differs."""
        path = folder / file.name
        for fresh in (False, True):
            if fresh:
                path.unlink(missing_ok=True)
            self._transfer(self._url(task, version, file.name), path, file)
            if digest(path) == file.sha256:
                return
        path.unlink()
        raise RepositoryError(
            f"{task}/{version}/{file.name} does not match its digest",
            hint="The server's file and index differ; run `hawkvision models index` there.",
        )

    def _transfer(self, url: str, path: Path, file: IndexedFile) -> None:
        for _ in self._tries(file.name):
            have = path.stat().st_size if path.exists() else 0
            if have > file.size:
                path.unlink()
                have = 0
            if have == file.size and path.exists():
                return
            try:
                self._part(url, path, file, have)
            except (_Broken, urllib3.exceptions.HTTPError):
                continue
            if path.stat().st_size == file.size:
                return
        raise self._unreachable()

    def _part(self, url: str, path: Path, file: IndexedFile, have: int) -> None:
        """One request for what is missing (RFC 9110, section 14)."""
        headers = {"Range": f"bytes={have}-"} if have else {}
        with self._get(url, headers) as reply, path.open("ab") as out:
            if reply.status == 416:
                out.truncate(0)
                raise _Broken
            _check_status(reply.status, file.name, self._base)
            if have and reply.status != 206:
                out.truncate(0)
                have = 0
            while chunk := reply.read1(_CHUNK):
                have += len(chunk)
                if have > file.size:
                    out.truncate(0)
                    raise RepositoryError(f"{file.name} is larger than the index says")
                out.write(chunk)
                self._progress(str(path.name), len(chunk), file.size)

    def _unreachable(self) -> RepositoryError:
        return RepositoryError(
            f"{self._base} does not answer, or breaks off",
            hint="Try again: what has come is kept and resumed.",
        )


def _check_status(status: int, name: str, base: str) -> None:
    if status in (200, 206):
        return
    if status >= 500 or status == 429:
        raise urllib3.exceptions.HTTPError(f"status {status}")
    hint = (
        "Make one with `hawkvision models index DIR` on the server."
        if name == INDEX
        else "The server's index names a file that it does not serve."
    )
    raise RepositoryError(f"{base} answers {status} for {name}", hint=hint)


def _matches(path: Path, file: IndexedFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size and digest(path) == file.sha256


def other_rungs(task_file: Path, rungs: Sequence[str] | int) -> set[str]:
    """Model files of rungs that are not wanted; none where all are.

    `rungs` are the names of those that are, or how many of the first ones.
    """
    if not rungs:
        return set()
    try:
        tables = tomllib.loads(task_file.read_text("utf-8"))["rungs"]
        files = {
            str(table["name"]): set[str]().union(
                *map(_named, (table, *dict(table.get("flavours", {})).values()))
            )
            for table in tables
        }
    except (ValueError, KeyError, TypeError) as error:
        raise RepositoryError(f"the task's task.toml cannot be read: {error}") from error
    if isinstance(rungs, int):
        rungs = list(files)[:rungs]
    unknown = sorted(set(rungs) - set(files))
    if unknown:
        raise RepositoryError(
            f"the task has no rung {unknown[0]!r}", hint=f"It has {', '.join(files)}."
        )
    kept = set[str]().union(*(files[name] for name in rungs))
    return set[str]().union(*files.values()) - kept


def _named(table: Mapping[str, Any]) -> set[str]:
    """The files that a rung's table names, or the table of one of its flavours."""
    file = {str(table["file"])} if "file" in table else set()
    return file | set(map(str, table.get("weights", ())))


def _remove_unknown(folder: Path, wanted: set[str]) -> None:
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()


def _place(partial: Path, final: Path) -> None:
    """Put a whole version in its place; one that was there goes."""
    final.parent.mkdir(parents=True, exist_ok=True)
    old = partial.with_name(partial.name + ".old")
    if final.exists():
        final.rename(old)
    partial.rename(final)
    shutil.rmtree(old, ignore_errors=True)
    for folder in (partial.parent, partial.parent.parent):
        if not any(folder.iterdir()):
            folder.rmdir()
