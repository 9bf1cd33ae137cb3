"""Versions that were taken up, and that the fleet halted later: they are left too.

What is on trial `rollouts` sends back itself. A version that the operator pinned stays.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from edge_agent.local import LocalTask
from edge_agent.updates.state import UpdateState
from hawkvision.errors import HawkVisionError, InvalidRequest, StoreUnavailable
from hawkvision.repository.repository import Repository, version_key
from hawkvision.serving.catalog import Catalog
from hawkvision.serving.control import ModelControl
from hawkvision.tracking.store.base import Store

_log = logging.getLogger(__name__)
EVERY_S = 4.0
"""Between two looks: so that a halt is heard of within 10 s, whatever loading takes of them."""


def subject(what: str, task: str, version: str) -> str:
    """Of the fleet's notes on a version."""
    return f"{what}/{task}@{version}"


async def halt_of(store: Store, task: str, version: str) -> str | None:
    """Who halted a version, and why; None where nobody did. Raises StoreUnavailable."""
    notes = await store.notes(subject("halt", task, version))
    return next((f"agent {by[:64]}: {text[:300]}" for by, text in notes.items()), None)


def parse_pins(pins: tuple[str, ...]) -> dict[str, str]:
    """`TASK@VERSION` of each pin, by task. Raises InvalidRequest."""
    found: dict[str, str] = {}
    for pin in pins:
        task, at, version = pin.partition("@")
        if not (task and at and version):
            raise InvalidRequest(
                f"--updates-pin {pin[:80]!r} names no version",
                hint="TASK@VERSION, say roadsigns@3.",
            )
        if found.setdefault(task, version) != version:
            raise InvalidRequest(f"--updates-pin names two versions of task {task[:80]!r}")
    return found


class Halts:
    """Hears what the fleet says of the versions that serve, and leaves what was halted.

    `control` is that of all workers of the service. `on_trial` says which version of a task is
    none of this one's business. `left` counts versions.
    """

    def __init__(
        self,
        state: UpdateState,
        repository: Path,
        catalog: Catalog[LocalTask],
        store: Store,
        control: ModelControl,
        pins: Mapping[str, str],
        on_trial: Callable[[str], str | None],
    ) -> None:
        self.left = 0
        self._state = state
        self._repository = repository
        self._catalog = catalog
        self._store = store
        self._control = control
        self._pins = pins
        self._on_trial = on_trial
        self._stuck: set[tuple[str, str]] = set()

    async def look(self) -> None:
        """Ask the fleet about each version that serves; without the store nobody says anything."""
        for name, local in list(self._catalog.serving.items()):
            version = local.version
            if version == self._on_trial(name):
                continue
            try:
                halt = await self._halted(name, version)
                if halt is not None:
                    await self._leave(name, version, halt)
            except StoreUnavailable:
                return

    async def _halted(self, name: str, version: str) -> str | None:
        if self._pins.get(name) == version:
            return None
        return await halt_of(self._store, name, version)

    async def _leave(self, name: str, version: str, halt: str) -> None:
        """Back to the newest older version that nobody halted, on every worker."""
        halted = {version: halt}
        for older in await asyncio.to_thread(self._older, name, version):
            reason = await self._halted(name, older)
            if reason is None:
                break
            halted[older] = reason
        else:
            self._stays(name, version, halt, "no older version is in the model repository")
            return
        for one, reason in reversed(halted.items()):
            self._state.refuse(name, one, f"halted in the fleet: {reason}")
            await asyncio.to_thread(self._set_aside, name, one)
        try:
            await self._control.load(name)
        except HawkVisionError as error:
            _log.warning("update: task %s: %s", name, error)
        serves = self._catalog.version(name)
        if serves in (None, version):
            self._stays(name, version, halt, "no older version can serve")
            return
        self.left += 1
        _log.warning(
            "update: task %s version %s is left (halted in the fleet: %s); version %s serves",
            *(name, version, halt, serves),
        )

    def _stays(self, name: str, version: str, halt: str, why: str) -> None:
        """Say once that it cannot be left."""
        if (name, version) not in self._stuck:
            self._stuck.add((name, version))
            _log.error(
                "update: task %s version %s is halted in the fleet (%s), and goes on: %s",
                *(name, version, halt, why),
            )

    def _older(self, name: str, version: str) -> list[str]:
        """Versions in the repository that are older, the newest first; on a thread."""
        found = (one for one, _ in Repository(self._repository).stamps(name))
        return [one for one in found if version_key(one) < version_key(version)]

    def _set_aside(self, name: str, version: str) -> None:
        """Take a version out of the repository, to where a person finds it; on a thread."""
        aside = self._state.halted / name
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        folder = self._repository / name / version
        if folder.is_dir():
            folder.rename(aside / version)
