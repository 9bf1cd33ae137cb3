"""What is released is fetched, tried, taken up, or sent back: one agent's part in a rollout.

`waves.Course` says what is to happen, `verdict.Evidence` whether the new version is worse; this
does it. Everything runs beside the requests.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_agent.local import LocalTask
from edge_agent.updates.halts import halt_of, subject
from edge_agent.updates.shadow import Shadow
from edge_agent.updates.source import TrialSource
from edge_agent.updates.state import UpdateState
from edge_agent.updates.trial import Trial
from hawkvision.errors import HawkVisionError, Overloaded, StoreUnavailable, UnknownTask
from hawkvision.repository.task import Task
from hawkvision.serving.catalog import Catalog
from hawkvision.serving.control import ModelControl
from hawkvision.serving.pool import WorkerPool
from hawkvision.tracking.store.base import Store
from hawkvision.updates.client import UpdateClient
from hawkvision.updates.release import Release
from hawkvision.updates.taking import is_newer
from hawkvision.updates.waves import Course, Fleet, Phase

_log = logging.getLogger(__name__)
_STORE_S = 2.0
"""Between two looks for a halt."""

_PROBE_S = 1.0
_PROBE_WITHIN_S = 2.0
_MOST_PROBES_FAILED = 3
_NOTES = "update"
UNHEARD = Fleet({}, settled=False)


@dataclass
class Rollout:
    """A release on its way at this agent."""

    course: Course
    folder: Path
    known_at: float
    trial: Trial | None = None
    loading: asyncio.Task[None] | None = None
    fleet: Fleet = UNHEARD
    read_at: float = -1e9
    noted: str = ""
    probed_at: float = -1e9
    probes_failed: int = 0

    @property
    def release(self) -> Release:
        """What it is about."""
        return self.course.release


class Rollouts:
    """`load` opens a version's folder as this agent serves it, on any thread.

    `versions` are those of this worker, `control` those of all workers of the service. Within
    `patience_s` seconds all agents that share the store have seen a release. `pins` are the
    versions, by task, that the operator wants and no other.
    """

    def __init__(
        self,
        state: UpdateState,
        client: UpdateClient,
        repository: Path,
        catalog: Catalog[LocalTask],
        source: TrialSource,
        shadow: Shadow,
        pool: WorkerPool,
        store: Store,
        versions: ModelControl,
        control: ModelControl,
        load: Callable[[Path], LocalTask],
        patience_s: float = 0.0,
        pins: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.active: dict[str, Rollout] = {}
        self.ended = {"accepted": 0, "refused": 0}
        self.looks = {"ok": 0, "failed": 0}
        self._state = state
        self._client = client
        self._repository = repository
        self._catalog = catalog
        self._source = source
        self._shadow = shadow
        self._pool = pool
        self._store = store
        self._versions = versions
        self._control = control
        self._load = load
        self._patience_s = patience_s
        self._pins = pins or {}
        self._clock = clock

    # Looking for releases.

    async def look(self) -> None:
        """See what is released; fetch what is new. Raises HawkVisionError where that fails."""
        serving = {name: (one, len(one.rungs)) for name, one in self._catalog.serving.items()}
        try:
            found, faults = await asyncio.to_thread(self._fetch, serving)
        except HawkVisionError:
            self.looks["failed"] += 1
            raise
        for release, folder in found:
            await self._begin(release, folder)
        self.looks["failed" if faults else "ok"] += 1
        if faults:
            raise faults[0]

    def _fetch(
        self, serving: Mapping[str, tuple[LocalTask, int]]
    ) -> tuple[list[tuple[Release, Path]], list[HawkVisionError]]:
        """On a thread: releases that are newer than what serves, their files here."""
        found, faults = [], []
        with self._client.look() as look:
            for name, (local, rungs) in serving.items():
                try:
                    release = look.release(name)
                    if release is None or not self._wanted(release, local):
                        continue
                    into, here = self._state.versions, local.task.folder
                    folder = look.fetch(release, into, _as_it_is, have=here, rungs=rungs)
                    self._tidy(name, {folder, here})
                    found.append((release, folder))
                except HawkVisionError as error:
                    faults.append(error)
        return found, faults

    def _tidy(self, name: str, used: set[Path]) -> None:
        """Forget versions of a task that were on trial once."""
        for folder in (self._state.versions / name).iterdir():
            if folder not in used:
                shutil.rmtree(folder, ignore_errors=True)

    def _wanted(self, release: Release, serving: LocalTask) -> bool:
        """Newer than what serves, not refused, not pinned out, and not under way already."""
        under_way = self.active.get(release.task)
        if under_way is not None and under_way.release.version == release.version:
            return False
        if self._state.refused(release.task, release.version) is not None:
            return False
        if self._pins.get(release.task, release.version) != release.version:
            return False
        return is_newer(release, serving.version)

    async def _begin(self, release: Release, folder: Path) -> None:
        """A release of which nothing serves yet; one of the same task before it ends."""
        name = release.task
        if (before := self.active.get(name)) is not None:
            await self._leave(before)
        course = Course.of(release, self._state.agent_id)
        self.active[name] = Rollout(course, folder, self._clock())
        _log.info(
            "update: task %s version %s is here, for wave %d of %d",
            *(name, release.version, course.wave + 1, len(release.rollout.waves)),
        )

    # A step of each.

    async def step(self) -> None:
        """Let each release take its next step."""
        for name, rollout in list(self.active.items()):
            try:
                await self._step(name, rollout)
            except HawkVisionError as error:
                await self._refuse(name, rollout, error.message, here_alone=True)
            except Exception as error:
                _log.exception("update: task %s", name)
                reason = f"unexpected {type(error).__name__}"
                await self._refuse(name, rollout, reason, here_alone=True)

    async def _step(self, name: str, rollout: Rollout) -> None:
        now = self._clock()
        await self._hear(rollout, now)
        if rollout.loading is not None and rollout.fleet.halt is None:
            if not rollout.loading.done():
                return
            loading, rollout.loading = rollout.loading, None
            await loading  # raises what it did
        trial, before = rollout.trial, rollout.course
        if trial is not None:
            if self._catalog.serving.get(name) not in (trial.old, trial.new):
                await self._leave(rollout)  # a person has loaded another version, or unloaded it
                return
            self._catalog.find(name, trial.old.version, time.monotonic())
            trial.settle(time.monotonic())
            await self._probe(rollout, trial)
            verdict, pairs = trial.verdict, trial.judged
            after = before.step(now, rollout.fleet, verdict, pairs)
        else:
            after = before.step(now, rollout.fleet)
        if rollout.probes_failed >= _MOST_PROBES_FAILED:
            after = before.refused("the version fails at images that the old one answers")
        if after.phase is Phase.REFUSED:
            await self._refuse(name, rollout, after.reason)
            return
        if after.phase is not before.phase:
            await self._enter(name, rollout, after)
        rollout.course = after
        await self._say(rollout)

    async def _enter(self, name: str, rollout: Rollout, course: Course) -> None:
        """Do what a phase begins with. Raises HawkVisionError where the version cannot."""
        if course.phase is Phase.TRIAL:
            rollout.loading = asyncio.create_task(self._try(name, rollout), name="trial")
            return
        trial = rollout.trial
        assert trial is not None
        version = course.release.version
        if course.phase is Phase.SERVING:
            self._source.put(trial.new)
            await self._versions.load(name)
            _log.info("update: task %s version %s serves on trial", name, version)
        elif course.phase is Phase.ACCEPTED:
            await asyncio.to_thread(self._keep, rollout.folder, name, version)
            self._end(rollout)
            self._source.drop(name)
            self.ended["accepted"] += 1
            _log.info("update: task %s version %s is accepted: %s", name, version, trial.evidence)
            try:
                await self._control.load(name)
            except HawkVisionError as error:
                _log.warning("update: task %s version %s: %s", name, version, error)

    async def _try(self, name: str, rollout: Rollout) -> None:
        """Load the version beside the one that serves."""
        old = self._catalog.serving.get(name)
        if old is None:
            raise UnknownTask(f"task {name!r} serves no more")
        new = await asyncio.to_thread(self._load, rollout.folder)
        if self.active.get(name) is not rollout:
            new.close()
            return
        if old.agrees and not new.agrees:
            new.close()
            raise HawkVisionError("its answers to its reference images are not the certified ones")
        if old.task.kind.as_table() != new.task.kind.as_table():
            new.close()
            raise HawkVisionError(
                f"its labels are not those of version {old.version}: pull it by hand"
            )
        trial = Trial(old, new, rollout.release.rollout, await self._agents())
        if self.active.get(name) is rollout:
            rollout.trial = self._shadow.trials[name] = trial
        _log.info("update: task %s version %s is compared with %s", name, new.version, old.version)

    async def _agents(self) -> int:
        """How many agents share the risk of a false alarm."""
        try:
            return max(1, len(await self._store.agents()))
        except StoreUnavailable:
            return 1

    async def _probe(self, rollout: Rollout, trial: Trial) -> None:
        """Whether the version still computes, whatever users send."""
        now = time.monotonic()
        if trial.image is None or now - rollout.probed_at < _PROBE_S:
            return
        rollout.probed_at = now
        try:
            await self._pool.submit(trial.new.answer, trial.image, deadline=now + _PROBE_WITHIN_S)
        except Overloaded:
            return
        except HawkVisionError:
            rollout.probes_failed += 1
            return
        rollout.probes_failed = 0

    # Its end.

    async def _refuse(
        self, name: str, rollout: Rollout, reason: str, *, here_alone: bool = False
    ) -> None:
        """Back to the old version at once; then remember, and tell the fleet.

        What cannot be loaded `here_alone` says nothing of other machines.
        """
        began, version = time.monotonic(), rollout.release.version
        evidence = "" if rollout.trial is None else f": {rollout.trial.evidence}"
        await self._leave(rollout)
        took = time.monotonic() - began
        serves = self._catalog.version(name)
        _log.warning(
            "update: task %s version %s is refused (%s); version %s serves, after %.3f s%s",
            *(name, version, reason, serves, took, evidence),
        )
        self.ended["refused"] += 1
        self._state.refuse(name, version, reason)
        await asyncio.to_thread(shutil.rmtree, rollout.folder, ignore_errors=True)
        rollout.course = rollout.course.refused(reason)
        await self._say(rollout)
        if rollout.fleet.halt is None and not here_alone:
            await self._halt(rollout, reason)

    async def _leave(self, rollout: Rollout) -> None:
        """What is on trial serves no more."""
        name, trial = rollout.release.task, rollout.trial
        self._end(rollout)
        self._source.drop(name)
        if trial is not None and self._catalog.serving.get(name) is trial.new:
            await self._versions.load(name)

    def on_trial(self, name: str) -> str | None:
        """The version of a task that is on its way here."""
        rollout = self.active.get(name)
        return None if rollout is None else rollout.release.version

    def close(self) -> None:
        """Leave everything as it is."""
        for rollout in list(self.active.values()):
            self._end(rollout)

    def _end(self, rollout: Rollout) -> None:
        name = rollout.release.task
        if self.active.get(name) is rollout:
            del self.active[name]
        if rollout.loading is not None:
            rollout.loading.cancel()
            rollout.loading.add_done_callback(_unheard)
        if self._shadow.trials.get(name) is rollout.trial:
            self._shadow.trials.pop(name, None)

    def _keep(self, folder: Path, name: str, version: str) -> None:
        """Put an accepted version into the repository; its files stay the same ones."""
        final = self._repository / name / version
        draft = self._state.folder / "accepted"
        shutil.rmtree(draft, ignore_errors=True)
        try:
            shutil.copytree(folder, draft, copy_function=os.link)
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)
            shutil.copytree(folder, draft)
        shutil.rmtree(final, ignore_errors=True)
        draft.rename(final)

    # The fleet.

    async def _hear(self, rollout: Rollout, now: float) -> None:
        """What other agents say; without the store nobody says anything."""
        if abs(now - rollout.read_at) < _STORE_S:
            return
        rollout.read_at = now
        waits = rollout.course.phase is Phase.WAITING
        name, version = rollout.release.task, rollout.release.version
        pinned = self._pins.get(name) == version
        try:
            halt = None if pinned else await halt_of(self._store, name, version)
            notes = await self._store.notes(subject(_NOTES, name, version)) if waits else {}
        except StoreUnavailable:
            return
        settled = now - rollout.known_at >= self._patience_s
        rollout.fleet = Fleet(notes or rollout.fleet.notes, halt, settled)

    async def _say(self, rollout: Rollout) -> None:
        note = rollout.course.note
        if note == rollout.noted:
            return
        release = rollout.release
        about = subject(_NOTES, release.task, release.version)
        try:
            await self._store.put_note(about, self._state.agent_id, note)
        except StoreUnavailable:
            return
        rollout.noted = note

    async def _halt(self, rollout: Rollout, reason: str) -> None:
        about = subject("halt", rollout.release.task, rollout.release.version)
        try:
            await self._store.put_note(about, self._state.agent_id, reason)
        except StoreUnavailable as error:
            _log.warning("update: the fleet could not be told of the halt: %s", error)


def _as_it_is(_task: Task) -> None:
    """What an agent checks of a version beyond its digests it checks when it loads it."""


def _unheard(loading: asyncio.Task[None]) -> None:
    """Nobody waits for it any more, nor for what it raised."""
    if not loading.cancelled():
        loading.exception()
