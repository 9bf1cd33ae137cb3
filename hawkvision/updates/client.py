"""The client's side of The Update Framework: what is released, and a version fetched whole.

Nothing is believed but what the keys of the root say that the user gave. The metadata that was seen
is kept, so that a server cannot go back to older ones; a timestamp that has expired means that the
server holds back what is new, or that the publisher is away.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tuf.api import exceptions
from tuf.api.metadata import Metadata, TargetFile, Targets
from tuf.ngclient import Updater, UpdaterConfig

from hawkvision.errors import RepositoryError
from hawkvision.repository import Repository
from hawkvision.repository.index import IndexedFile
from hawkvision.repository.origin import Origin
from hawkvision.repository.pull import other_rungs
from hawkvision.repository.task import Task
from hawkvision.updates.fetching import BoundedFetcher, Pace
from hawkvision.updates.release import MAX_RELEASE_BYTES, Release, file_path, release_path
from hawkvision.updates.site import FILES, METADATA, TASK

MAX_ROOT_BYTES = 512_000
_CONFIG = UpdaterConfig(
    max_root_rotations=64,
    max_delegations=8,
    root_max_length=MAX_ROOT_BYTES,
    timestamp_max_length=16_384,
    snapshot_max_length=1_000_000,
    targets_max_length=2_000_000,
)
_SPARE_BYTES = 64 * 1024**2
"""So much stays free on the disk."""

Check = Callable[[Task], None]
"""Raises HawkVisionError for a version, read and with right digests, that must not serve."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of all files of a version together, and how long a server may take."""

    version_bytes: int = 16 * 1024**3
    pace: Pace = field(default_factory=Pace)


class UpdateClient:
    """Looks at one address; `folder` is its own and keeps the metadata and what was fetched.

    `root` are the bytes of the root that the user trusts. Raises RepositoryError, as all methods.
    Every method blocks.
    """

    def __init__(self, url: str, root: bytes, folder: Path, limits: Limits | None = None) -> None:
        self._origin = Origin.parse(url, "a site of `hawkvision updates publish`")
        if self._origin.query:
            raise RepositoryError("the address of updates has no query")
        if len(root) > MAX_ROOT_BYTES:
            raise RepositoryError(f"a root has at most {MAX_ROOT_BYTES} bytes")
        self._root = root
        self._folder = folder
        self._limits = limits or Limits()

    @contextlib.contextmanager
    def look(self) -> Iterator[Look]:
        """What is published now, verified from the timestamp on."""
        try:
            for name in ("metadata", "scratch"):
                (self._folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RepositoryError(f"{self._folder} cannot be written: {error.strerror}") from error
        fetcher = BoundedFetcher(self._origin, self._folder / "scratch", self._limits.pace)
        try:
            with _told(self._origin.base):
                updater = Updater(
                    str(self._folder / "metadata"),
                    f"{self._origin.base}/{METADATA}/",
                    target_base_url=f"{self._origin.base}/{FILES}/",
                    fetcher=fetcher,
                    config=_CONFIG,
                    bootstrap=self._root,
                )
                updater.refresh()
            yield Look(updater, self._folder, self._origin.base, self._limits)
        finally:
            fetcher.close()


class Look:
    """One consistent state of a site, as long as `UpdateClient.look` lasts."""

    def __init__(self, updater: Updater, folder: Path, base: str, limits: Limits) -> None:
        self._updater = updater
        self._folder = folder
        self._base = base
        self._limits = limits

    def tasks(self) -> list[str]:
        """Names of the tasks that have a role."""
        with _told(self._base):
            targets = Metadata[Targets].from_file(str(self._folder / "metadata" / "targets.json"))
        found = targets.signed.delegations
        roles = () if found is None else found.roles or ()
        return sorted(role.removeprefix(TASK) for role in roles if role.startswith(TASK))

    def release(self, task: str) -> Release | None:
        """What is released of a task, None without."""
        with _told(self._base):
            target = self._updater.get_targetinfo(release_path(task))
            if target is None:
                return None
            if target.length > MAX_RELEASE_BYTES:
                raise RepositoryError(f"the release of {task!r} is too large")
            path = self._updater.download_target(target, str(self._folder / "scratch" / "release"))
            release = Release.parse(Path(path).read_bytes())
        if release.task != task:
            raise RepositoryError(f"the release of {task!r} names the task {release.task!r}")
        if release.size > self._limits.version_bytes:
            raise RepositoryError(
                f"{task}/{release.version} has {release.size} bytes",
                hint=f"At most {self._limits.version_bytes} are fetched.",
            )
        return release

    def fetch(
        self,
        release: Release,
        into: Path,
        check: Check,
        *,
        have: Path | None = None,
        rungs: int = 0,
    ) -> Path:
        """The version's folder `into/TASK/VERSION`, which appears only when whole and checked.

        Files that a folder `have` holds already are not fetched again. With `rungs`, model files of
        all but so many first rungs are left out.
        """
        partial = self._folder / "partial" / release.task / release.version
        final = into / release.task / release.version
        known = [final] if have is None else [final, have]
        with _told(self._base):
            self._room_for(release)
            partial.mkdir(parents=True, exist_ok=True)
            files = {file.name: file for file in release.files}
            self._file(release, files["task.toml"], partial, known)
            for name in other_rungs(partial / "task.toml", rungs):
                files.pop(name, None)
            for file in files.values():
                self._file(release, file, partial, known)
            for path in partial.iterdir():
                if path.name not in files:
                    path.unlink()
            task = Repository(partial.parent.parent).good(release.task, release.version)
            for rung in task.every_rung:
                if rung.present:
                    rung.check_digest()
            check(task)
            final.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(final, ignore_errors=True)
            partial.rename(final)
        return final

    def _room_for(self, release: Release) -> None:
        free = shutil.disk_usage(self._folder).free
        if release.size + _SPARE_BYTES > free:
            raise RepositoryError(
                f"{release.task}/{release.version} needs {release.size} bytes, {free} are free"
            )

    def _file(
        self, release: Release, file: IndexedFile, partial: Path, have: Sequence[Path]
    ) -> None:
        path = file_path(release.task, release.version, file.name)
        target = self._updater.get_targetinfo(path)
        if target is None or not _same(target, file):
            raise RepositoryError(f"{path} is not signed as the release names it")
        here = partial / file.name
        if self._updater.find_cached_target(target, str(here)) is not None:
            return
        for folder in have:
            if self._updater.find_cached_target(target, str(folder / file.name)) is not None:
                shutil.copyfile(folder / file.name, here)
                return
        self._updater.download_target(target, str(here))


def _same(target: TargetFile, file: IndexedFile) -> bool:
    return target.length == file.size and target.hashes.get("sha256") == file.sha256


_REASONS: tuple[tuple[type[Exception], str, str], ...] = (
    (
        exceptions.ExpiredMetadataError,
        "its metadata has expired",
        "The publisher is to run `hawkvision updates publish`, or the server holds it back; "
        "see also this machine's clock.",
    ),
    (
        exceptions.UnsignedMetadataError,
        "its metadata is not signed by the keys that the root names",
        "Is --updates-root the publisher's root?",
    ),
    (
        exceptions.BadVersionNumberError,
        "its metadata is older than what was seen, or does not belong together",
        "The server has gone back, or is being changed.",
    ),
    (
        exceptions.LengthOrHashMismatchError,
        "a file is not the one that was signed",
        "The server's files are damaged, or are being changed.",
    ),
    (
        exceptions.DownloadLengthMismatchError,
        "a file is larger than it may be",
        "The server's files are damaged, or it is another server.",
    ),
    (exceptions.SlowRetrievalError, "it answers too slowly", "It is asked again later."),
    (exceptions.DownloadHTTPError, "it does not have what was signed", "Is the address right?"),
    (exceptions.DownloadError, "it does not answer, or breaks off", "It is asked again later."),
    (exceptions.RepositoryError, "its metadata cannot be used", "Is the address right?"),
)


@contextlib.contextmanager
def _told(base: str) -> Iterator[None]:
    """What tuf raises, in our words."""
    try:
        yield
    except (exceptions.RepositoryError, exceptions.DownloadError) as error:
        for kind, reason, hint in _REASONS:
            if isinstance(error, kind):
                detail = f" ({str(error)[:160]})" if str(error) else ""
                raise RepositoryError(f"{base}: {reason}{detail}", hint=hint) from error
        raise
    except OSError as error:
        raise RepositoryError(f"what {base} has cannot be kept: {error}") from error
