"""The published files: signed metadata and targets, as any web server can serve them."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, Root, Signed, TargetFile, Targets
from tuf.api.serialization import DeserializationError

from hawkvision.errors import RepositoryError
from hawkvision.updates.keys import ROOT, TARGETS, TIMESTAMP

METADATA, FILES = "metadata", "targets"
"""Folders of a site, as clients ask for them."""

TASK = "task-"
"""What names of roles of tasks begin with."""

T = TypeVar("T", bound=Signed)


class Site:
    """A folder in which every file appears whole; `timestamp.json`, read first, comes last."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._metadata = root / METADATA
        self._files = root / FILES

    def begin(self) -> None:
        """Raises RepositoryError where something is published already."""
        if self.newest(ROOT):
            raise RepositoryError(f"{self._root} is a site already")
        self._metadata.mkdir(parents=True, exist_ok=True)
        self._files.mkdir(parents=True, exist_ok=True)

    def newest(self, role: str) -> int:
        """The version of a role's metadata; 0 where there is none."""
        if role == TIMESTAMP:
            path = self._metadata / "timestamp.json"
            return self._read(path, role).signed.version if path.is_file() else 0
        name = re.compile(rf"(\d{{1,9}})\.{re.escape(role)}\.json")
        found = (name.fullmatch(path.name) for path in self._metadata.glob("*.json"))
        return max((int(match[1]) for match in found if match), default=0)

    def metadata(self, role: str) -> Metadata[Any]:
        """The newest metadata of a role. Raises RepositoryError."""
        return self._read(self.path(role, self.newest(role)), role)

    def path(self, role: str, version: int) -> Path:
        """Where a role's metadata lies."""
        name = f"{role}.json" if role == TIMESTAMP else f"{version}.{role}.json"
        return self._metadata / name

    def _read(self, path: Path, role: str) -> Metadata[Any]:
        try:
            return Metadata.from_file(str(path))
        except (OSError, DeserializationError) as error:
            raise RepositoryError(
                f"there is no metadata of {role!r} that can be read in {self._metadata}",
                hint="Begin with `hawkvision updates init SITE --keys DIR`.",
            ) from error

    def task_roles(self) -> list[str]:
        """Roles of tasks that the targets delegate to."""
        targets: Targets = self.metadata(TARGETS).signed
        delegations = targets.delegations
        return sorted(delegations.roles or ()) if delegations is not None else []

    def write(self, role: str, signed: Signed, signers: Sequence[Signer]) -> Path:
        """Sign and write a role's metadata. Raises RepositoryError where a signer fails."""
        body: Metadata[Any] = Metadata(signed)
        try:
            for signer in signers:
                body.sign(signer, append=True)
        except Exception as error:  # each kind of signer raises what it likes
            raise RepositoryError(f"{role!r} cannot be signed: {error}") from error
        path = self.path(role, signed.version)
        draft = path.with_name(f".{path.name}")
        draft.write_bytes(body.to_bytes())
        draft.replace(path)
        return path

    def keep(self, target: TargetFile, source: Path | bytes) -> None:
        """Put a target's content where clients ask for it: under its digest."""
        path = self._files / target.get_prefixed_paths()[0]
        if path.is_file():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}")
        if isinstance(source, bytes):
            draft.write_bytes(source)
        else:
            shutil.copyfile(source, draft)
        draft.replace(path)

    def root(self) -> Root:
        """The newest root. Raises RepositoryError."""
        found = self.metadata(ROOT).signed
        assert isinstance(found, Root)
        return found

    def link_root(self, version: int) -> None:
        """Also as `root.json`, for people who hand it to agents."""
        shutil.copyfile(self.path(ROOT, version), self._metadata / "root.json")
        with contextlib.suppress(OSError):
            (self._metadata / "root.json").chmod(0o644)
