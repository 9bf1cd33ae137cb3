"""New versions of tasks, loaded beside those that serve: on demand, at a signal, or by watching.

Implements `ModelControl` over a `Catalog`. Reading and loading happen on threads, one version at a
time, so that memory holds one more than serve; what serves goes on whatever fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from hawkvision.errors import HawkVisionError, UnknownTask, VersionUnavailable
from hawkvision.serving import memory
from hawkvision.serving.catalog import Catalog, Fault, Found, Step, Version
from hawkvision.serving.control import VersionStatus

_log = logging.getLogger(__name__)
_TURN_S = 0.5
"""How often it is looked what has been freed, while something is to be."""

_PASSED_OVER = "it was passed over at start; the log says why"
_COLLECTED_AT = 4
"""At this turn what is still held is looked for in circles of references, once."""

T = TypeVar("T", bound=Version)
S = TypeVar("S", bound=Version, covariant=True)


class Source(Protocol[S]):
    """Where versions come from. Every method blocks, and runs on any thread."""

    def names(self) -> list[str]:
        """The tasks that are to be served. Raises HawkVisionError."""
        ...

    def versions(self, name: str) -> Sequence[Found]:
        """What lies there of a task, newest first; nothing of one that is not to be served."""
        ...

    def load(self, name: str, version: str) -> S:
        """Check a version wholly and load it. Raises HawkVisionError."""
        ...


@dataclass(frozen=True)
class Hooks(Generic[T]):
    """What a service does around a change.

    `prepare` runs on the loading thread, before the version serves; `serving` on the event loop,
    within the same turn in which it begins to (None: nothing served before, or does after).
    """

    prepare: Callable[[T], None] = lambda _value: None
    serving: Callable[[str, T | None, T | None], None] = lambda _name, _old, _new: None


class Reloader(Generic[T]):
    """Use it within one event loop. `watch_s` 0: the repository is looked at only when told to."""

    def __init__(
        self,
        catalog: Catalog[T],
        source: Source[T],
        hooks: Hooks[T] | None = None,
        *,
        watch_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.catalog = catalog
        self.loads = {"ok": 0, "failed": 0}
        self._source = source
        self._hooks = hooks or Hooks[T]()
        self._watch_s = watch_s
        self._clock = clock
        self._one = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._tending: asyncio.Task[None] | None = None
        self._before: dict[str, Sequence[Found]] = {}

    def begin_with(self, loaded: Mapping[str, T]) -> None:
        """What serves from the start. Newer versions in the repository were passed over."""
        for name, value in loaded.items():
            try:
                found = list(self._source.versions(name))
            except HawkVisionError:
                found = []
            at = next((at for at, one in enumerate(found) if one[0] == value.version), len(found))
            stamp = found[at][1] if at < len(found) else ()
            self.catalog.takes_over(name, value.version, stamp, value, self._clock())
            for version, _ in found[:at] if at < len(found) else ():
                self.catalog.failed(name, version, Fault((), _PASSED_OVER))

    # ModelControl.

    def index(self, *, ready: bool = False) -> list[VersionStatus]:
        """See `ModelControl`."""
        return self.catalog.index(ready=ready)

    async def load(self, name: str) -> None:
        """See `ModelControl`."""
        await self._apart(self._load_one(name))

    async def unload(self, name: str) -> None:
        """See `ModelControl`."""
        await self._apart(self._unload(name))

    async def _apart(self, work: Awaitable[None]) -> None:
        """Whoever asked may go away; what has begun is finished."""
        await asyncio.shield(self._keep(work))

    def _keep(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody else needs to hear of it

    async def _load_one(self, name: str) -> None:
        async with self._one:
            found = await asyncio.to_thread(self._source.versions, name)
            if not found:
                raise UnknownTask(
                    f"no task {name[:80]!r} in the model repository",
                    hint="See `hawkvision models list`.",
                )
            await self._newest(name, found, again=True)
            version, stamp = found[0]
            fault = self.catalog.fault(name, version)
            if fault is not None and fault.stamp == stamp:
                serves = self.catalog.version(name)
                raise VersionUnavailable(
                    f"task {name!r} version {version} cannot serve: {fault.reason}",
                    hint=f"Version {serves} goes on." if serves else "",
                )

    async def _unload(self, name: str) -> None:
        async with self._one:
            if name not in self.catalog.serving:
                raise UnknownTask(f"no task {name[:80]!r} is served here")
            version = self.catalog.version(name)
            self._hooks.serving(name, self.catalog.unload(name, self._clock()), None)
            _log.info("task %s: version %s is unloaded", name, version)
        self._tend()

    # Looking at everything.

    def look(self) -> None:
        """Begin to look for newer versions of everything that is served, and for new tasks."""
        self._keep(self._look(again=True))

    async def _look(self, *, again: bool, settled: bool = False) -> None:
        """What was unloaded stays so. `settled`: leave what has changed since the last look."""
        try:
            names = await asyncio.to_thread(self._source.names)
        except HawkVisionError as error:
            _log.warning("the model repository cannot be read: %s", error)
            return
        before, self._before = self._before, {}
        for name in {**dict.fromkeys(self.catalog.serving), **dict.fromkeys(names)}:
            async with self._one:
                if self.catalog.unloaded(name):
                    continue
                found = await asyncio.to_thread(self._source.versions, name)
                self._before[name] = found
                self.catalog.seen(name, found)
                if not settled or found == before.get(name):
                    await self._newest(name, found, again=again)

    # Loading.

    async def _newest(self, name: str, found: Sequence[Found], *, again: bool) -> None:
        """Let the newest good version of these take over. Under the lock."""
        tried: list[str] = []
        while step := self.catalog.plan(name, found, again=again, tried=tried):
            tried.append(step.version)
            if step.resident:
                self._take_over(name, step, None)
                return
            value = await self._loaded(name, step)
            if value is not None:
                self._take_over(name, step, value)
                return

    async def _loaded(self, name: str, step: Step) -> T | None:
        """The version, checked; None where it cannot serve, which is said and noted."""
        self.catalog.loading(name, step.version)
        try:
            value = await asyncio.to_thread(self._load, name, step.version)
        except HawkVisionError as error:
            reason = f"{error.message}. {error.hint}" if error.hint else error.message
        except asyncio.CancelledError:
            self.catalog.failed(name, step.version, Fault((), "loading was broken off"))
            raise
        except Exception as error:
            _log.exception("task %s: unexpected error while loading version %s", name, step.version)
            reason = f"unexpected {type(error).__name__}; see the log"
        else:
            self.loads["ok"] += 1
            return value
        self.loads["failed"] += 1
        if self.catalog.failed(name, step.version, Fault(step.stamp, reason)):
            serves = self.catalog.version(name)
            rest = f"version {serves} goes on" if serves else "none serves"
            _log.warning(
                "task %s: version %s cannot serve, %s: %s", name, step.version, rest, reason
            )
        return None

    def _load(self, name: str, version: str) -> T:
        """On a thread."""
        value = self._source.load(name, version)
        serves = self.catalog.serving.get(name)
        if serves is not None and serves.agrees and not value.agrees:
            value.close()
            raise VersionUnavailable(
                "its answers to its reference images differ from the certified ones",
                hint="Calibrate it with this engine: hawkvision calibrate --engine.",
            )
        self._hooks.prepare(value)
        return value

    def _take_over(self, name: str, step: Step, value: T | None) -> None:
        before = self.catalog.version(name)
        old = self.catalog.takes_over(name, step.version, step.stamp, value, self._clock())
        self._hooks.serving(name, old, self.catalog.serving[name])
        del old
        was = f", after {before}" if before else ""
        _log.info("task %s: version %s serves%s", name, step.version, was)
        self._tend()

    # Time.

    def start(self) -> None:
        """Begin to watch, where that was asked for."""
        if self._watch_s > 0:
            self._keep(self._watch())

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._watch_s)
            try:
                await self._look(again=False, settled=True)
            except Exception:
                _log.exception("watching the model repository failed, and goes on")

    def _tend(self) -> None:
        """Look after what is retired and kept, as long as there is something."""
        if self._tending is None or self._tending.done():
            self._tending = self._keep(self._tended())

    async def _tended(self) -> None:
        turns = 0
        while self.catalog.restless:
            now, turns = self._clock(), turns + 1 if self.catalog.retiring else 0
            for name, version in self.catalog.retire_unasked(now):
                _log.info("task %s: nobody asks for version %s any more", name, version)
            for late in self.catalog.overdue(now):
                _log.warning("a retired version is held for too long, and is closed")
                await asyncio.to_thread(late.close)
                del late
            if freed := self.catalog.freed():
                await asyncio.to_thread(memory.give_back)
                for name, version in freed:
                    _log.info("task %s: version %s is freed", name, version)
            elif turns == _COLLECTED_AT:
                gc.collect()  # an error's traceback may hold what is retired in a circle
            await asyncio.sleep(_TURN_S)

    async def close(self) -> None:
        """Stop watching; a version that is being loaded is left to its thread."""
        for task in list(self._tasks):
            task.cancel()
        for task in list(self._tasks):
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
