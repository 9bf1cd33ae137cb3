"""The publisher's side of The Update Framework: roles, releases, and what is signed when.

Root (offline, a threshold of keys) names the keys of all others. Targets delegates to one role for
each task, whose key signs the task's release and files. Snapshot says which metadata belongs
together, timestamp, good for a day, which snapshot is the newest. Source: The Update Framework
specification 1.0.33, theupdateframework.github.io/specification.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    MetaFile,
    Role,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from hawkvision.errors import RepositoryError
from hawkvision.repository.index import IndexedFile, check_name
from hawkvision.repository.repository import Repository, version_key
from hawkvision.repository.task import Task, digest
from hawkvision.updates.keys import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, KeyRing
from hawkvision.updates.release import MAX_FILES, Release, Rollout, file_path, release_path
from hawkvision.updates.site import TASK, Site

_TOP = (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)


class Publisher:
    """Writes one site with one ring of keys. Raises RepositoryError."""

    def __init__(self, site: Site, ring: KeyRing) -> None:
        self._site = site
        self._ring = ring

    def begin(self, now: datetime, *, root_keys: int = 2, threshold: int = 2) -> None:
        """Make keys and the first, empty, publication."""
        if not 1 <= threshold <= root_keys:
            raise RepositoryError(f"a threshold of {threshold} cannot be with {root_keys} keys")
        self._site.begin()
        ring = self._ring
        for _ in range(root_keys):
            ring.make(ROOT)
        for role in (TARGETS, SNAPSHOT, TIMESTAMP):
            ring.make(role)
        ring.save()
        root = Root(
            version=1,
            expires=self._expiry(ROOT, now),
            consistent_snapshot=True,
            roles={role: Role([], threshold if role == ROOT else 1) for role in _TOP},
        )
        for role in _TOP:
            for key in ring.public(role):
                root.add_key(key, role)
        self._write_root(root)
        targets = Targets(version=1, expires=self._expiry(TARGETS, now))
        targets.delegations = Delegations({}, {})
        self._site.write(TARGETS, targets, ring.needed(TARGETS))
        self.publish(now)

    def add(
        self, folder: Path, rollout: Rollout, now: datetime, check: Callable[[Task], None]
    ) -> Release:
        """Sign a version folder as the release of its task; `publish` shows it.

        `check` raises for a version that must not serve. Agents take a version only if it is newer
        than theirs, so one that is not newer than the one released is refused here.
        """
        task = Repository(folder.parent.parent).good(folder.parent.name, folder.name)
        for rung in task.every_rung:
            rung.check_digest()
        check(task)
        role = f"{TASK}{task.name}"
        self._is_newer(role, task)
        files = _files(folder)
        release = Release(task.name, task.version, now.timestamp(), files, rollout)
        body = bytes(Release.parse(bytes(release)))  # what clients would refuse is found here
        found = self._site.newest(role)
        self._delegate(role, task.name, now)
        targets = Targets(version=found + 1, expires=self._expiry(TARGETS, now))
        sources: dict[str, bytes | Path] = {release_path(task.name): body}
        for one in files:
            sources[file_path(task.name, task.version, one.name)] = folder / one.name
        for path, source in sources.items():
            target = (
                TargetFile.from_data(path, source, ["sha256"])
                if isinstance(source, bytes)
                else TargetFile.from_file(path, str(source), ["sha256"])
            )
            targets.targets[path] = target
            self._site.keep(target, source)
        self._site.write(role, targets, self._ring.needed(role))
        return release

    def _is_newer(self, role: str, task: Task) -> None:
        if not self._site.newest(role):
            return
        signed: Targets = self._site.metadata(role).signed
        released = {path.split("/")[1] for path in signed.targets if path.count("/") == 2}
        newest = max(released, key=version_key, default=None)
        if newest is not None and version_key(task.version) <= version_key(newest):
            raise RepositoryError(
                f"{task.name} version {task.version} is not newer than {newest}, which is released",
                hint="Give its folder a higher version.",
            )

    def publish(self, now: datetime) -> int:
        """Show what was added, with a new timestamp; the snapshot's version."""
        roles = [TARGETS, *self._site.task_roles()]
        for role in roles:
            self._renew(role, now)
        metas = {f"{role}.json": self._meta(role) for role in roles if self._site.newest(role)}
        version = self._site.newest(SNAPSHOT) + 1
        snapshot = Snapshot(version, expires=self._expiry(SNAPSHOT, now), meta=metas)
        self._site.write(SNAPSHOT, snapshot, self._ring.needed(SNAPSHOT))
        timestamp = Timestamp(
            self._site.newest(TIMESTAMP) + 1,
            expires=self._expiry(TIMESTAMP, now),
            snapshot_meta=self._meta(SNAPSHOT),
        )
        self._site.write(TIMESTAMP, timestamp, self._ring.needed(TIMESTAMP))
        return version

    def rotate(self, role: str, now: datetime) -> Path:
        """Give a role new keys, as many as it had; the metadata's file that says so.

        That is a new root, or for the role of a task new targets. What the role signed is signed
        anew, so that nothing by the old keys is left.
        """
        roles = self._site.task_roles()
        if role in roles:
            return self._rotate_task(role, now)
        if role not in _TOP:
            known = ", ".join([*_TOP, *roles])
            raise RepositoryError(f"there is no role {role[:80]!r}", hint=f"One of {known}.")
        root = self._site.root()
        root.version += 1
        root.expires = self._expiry(ROOT, now)
        old_root = self._ring.needed(ROOT, root.roles[ROOT].threshold)
        old = self._ring.retire(role)
        for key in old:
            root.revoke_key(key.keyid, role)
        for _ in old:
            root.add_key(self._ring.make(role), role)
        self._ring.save()
        signers = [*old_root, *(self._ring.needed(ROOT) if role == ROOT else ())]
        path = self._site.write(ROOT, root, signers)
        self._site.link_root(root.version)
        if role == TARGETS:
            self._resign(TARGETS, now)
        self.publish(now)
        return path

    def _rotate_task(self, role: str, now: datetime) -> Path:
        targets: Targets = copy.deepcopy(self._site.metadata(TARGETS).signed)
        self._ring.needed(TARGETS)
        for key in self._ring.retire(role):
            targets.revoke_key(key.keyid, role)
        targets.add_key(self._ring.make(role), role)
        self._ring.save()
        self._write_targets(TARGETS, targets, now)
        self._resign(role, now)
        self.publish(now)
        return self._site.path(TARGETS, self._site.newest(TARGETS))

    def _write_root(self, root: Root) -> None:
        threshold = root.roles[ROOT].threshold
        self._site.write(ROOT, root, self._ring.needed(ROOT, threshold))
        self._site.link_root(root.version)

    def _delegate(self, role: str, task: str, now: datetime) -> None:
        """Let a role of its own sign for a task, where it does not yet."""
        if role in self._site.task_roles():
            return
        key = (self._ring.public(role) or [self._ring.make(role)])[0]
        self._ring.save()
        targets: Targets = copy.deepcopy(self._site.metadata(TARGETS).signed)
        assert targets.delegations is not None and targets.delegations.roles is not None
        targets.delegations.roles[role] = DelegatedRole(
            role, [], 1, terminating=True, paths=[f"{task}/*", f"{task}/*/*"]
        )
        targets.add_key(key, role)
        self._write_targets(TARGETS, targets, now)

    def _renew(self, role: str, now: datetime) -> None:
        """Sign a role's metadata anew when half of its time is over, if its key is here."""
        if not self._site.newest(role):
            return
        found = self._site.metadata(role).signed
        left = found.expires - now
        if left < timedelta(days=self._ring.days[TARGETS] / 2) and self._ring.signers(role):
            self._resign(role, now)

    def _resign(self, role: str, now: datetime) -> None:
        self._write_targets(role, copy.deepcopy(self._site.metadata(role).signed), now)

    def _write_targets(self, role: str, targets: Targets, now: datetime) -> None:
        targets.version += 1
        targets.expires = self._expiry(TARGETS, now)
        self._site.write(role, targets, self._ring.needed(role))

    def _meta(self, role: str) -> MetaFile:
        version = self._site.newest(role)
        return MetaFile.from_data(version, self._site.path(role, version).read_bytes(), ["sha256"])

    def _expiry(self, role: str, now: datetime) -> datetime:
        days = self._ring.days.get(role, self._ring.days[TARGETS])
        return (now + timedelta(days=days)).astimezone(UTC).replace(microsecond=0)


def _files(folder: Path) -> tuple[IndexedFile, ...]:
    """Every file of a version folder. Raises RepositoryError for a name that no index can hold."""
    found = []
    for path in sorted(folder.iterdir()):
        if not path.is_file():
            continue
        try:
            name = check_name(path.name)
        except ValueError as error:
            raise RepositoryError(str(error)) from error
        found.append(IndexedFile(name, path.stat().st_size, digest(path)))
    if len(found) > MAX_FILES:
        raise RepositoryError(f"{folder} has more than {MAX_FILES} files")
    return tuple(found)
