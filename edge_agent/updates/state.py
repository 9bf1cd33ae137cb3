"""What an agent remembers of updates across restarts: its id, and what it refused."""

from __future__ import annotations

import fcntl
import re
import secrets
from pathlib import Path

import orjson

from hawkvision.errors import RepositoryError

_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_REFUSED = 256


class UpdateState:
    """A folder of one agent alone. Raises RepositoryError where it cannot be, or is another's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / "lock").open("wb")
        except OSError as error:
            raise RepositoryError(
                f"{folder} cannot be written: {error.strerror or error}",
                hint="Updates need a --model-repository that this user may write to.",
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise RepositoryError(
                f"another agent takes updates into {folder}",
                hint="Give each agent a --model-repository of its own.",
            ) from error
        self.agent_id = self._read_id()
        self._refused = self._read_refused()

    @property
    def versions(self) -> Path:
        """Where versions lie that are not the agent's own yet."""
        return self._folder / "versions"

    @property
    def halted(self) -> Path:
        """Where the last version of each task lies that was left because the fleet halted it."""
        return self._folder / "halted"

    @property
    def folder(self) -> Path:
        """Where the metadata is kept."""
        return self._folder

    def _read_id(self) -> str:
        """The id that finds an agent's wave; made once."""
        path = self._folder / "agent-id"
        found = path.read_text("utf-8").strip() if path.is_file() else ""
        if not _ID.fullmatch(found):
            found = secrets.token_hex(8)
            path.write_text(f"{found}\n", "utf-8")
        return found

    def _read_refused(self) -> dict[str, str]:
        try:
            raw = orjson.loads((self._folder / "refused.json").read_bytes())
            return {str(version): str(reason) for version, reason in raw.items()}
        except (OSError, ValueError, AttributeError):
            return {}

    def refused(self, task: str, version: str) -> str | None:
        """Why a version never serves here; None where it may."""
        return self._refused.get(f"{task}@{version}")

    def refuse(self, task: str, version: str, reason: str) -> None:
        """A version never serves here, whatever happens."""
        self._refused[f"{task}@{version}"] = reason
        while len(self._refused) > _MOST_REFUSED:
            del self._refused[next(iter(self._refused))]
        draft = self._folder / "refused.json.new"
        draft.write_bytes(orjson.dumps(self._refused, option=orjson.OPT_INDENT_2) + b"\n")
        draft.replace(self._folder / "refused.json")

    def close(self) -> None:
        """Another agent may have the folder."""
        self._lock.close()
