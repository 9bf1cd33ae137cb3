"""What both services have in common: start, drain, close; and a process around one of them."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from hawkvision.serving import descriptors, memory
from hawkvision.serving.event_loop import new_event_loop

Settings = TypeVar("Settings")
Loaded = TypeVar("Loaded")

_log = logging.getLogger(__name__)
_TURN_S = 0.001
"""So long a thread may run Python while the event loop waits for its turn, seconds."""

_LEFT_BEHIND_S = 1.0
"""How long tasks, and then threads of the loop's executor, have to end, seconds."""


class Service(Protocol):
    """A service of one event loop, made inside it."""

    @property
    def address(self) -> str:
        """Where clients reach it: a URL, or HOST:PORT."""
        ...

    @property
    def ready_line(self) -> str:
        """What a process prints when it is ready."""
        ...

    async def start(self) -> int:
        """Listen; the port, a free one where the settings say 0. Raises HawkVisionError."""
        ...

    async def drain(self) -> None:
        """Say "not ready" while still answering, then accept no more and finish what runs."""
        ...

    async def close(self) -> None:
        """Stop; also what was started only half."""
        ...


@dataclass(frozen=True)
class ServiceKind(Generic[Settings, Loaded]):
    """How to make a service: its settings, what to load before, and the service itself.

    Entries of the entry-point group `hawkvision.services` are such kinds. `load` blocks, and may
    run on any thread; `compose` runs inside the event loop. Both raise HawkVisionError.
    """

    settings: type[Settings]
    load: Callable[[Settings], Loaded]
    compose: Callable[[Settings, Loaded], Service]


def stop_signals() -> list[signal.Signals]:
    """What ends a service: SIGTERM, SIGINT, and SIGHUP unless it is ignored (nohup)."""
    kept = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGINT, *([] if kept else [signal.SIGHUP])]


@runtime_checkable
class Reloads(Protocol):
    """A service that loads new versions of its tasks while it serves."""

    def reload(self) -> None:
        """Begin to look for new versions; never waits, never raises."""
        ...


class HangUp:
    """What SIGHUP means: the terminal has gone, which ends a service, or somebody asks it to look
    for new versions. Make it at the start, while a terminal is still there if there is one."""

    def __init__(self) -> None:
        self._kept = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # nohup(1)
        self._terminal = _has_terminal()

    def ends(self) -> bool:
        """Whether this one says that the terminal has gone."""
        return self._terminal and not self._kept and not _has_terminal()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def say_ready(service: Service) -> None:
    """Print the one line that says so."""
    print(service.ready_line, flush=True)


async def serve(
    service: Service,
    *,
    ready: Callable[[Service], None] = say_ready,
    parent: int | None = None,
) -> None:
    """Serve until one of `stop_signals`; call `ready` once it does. Raises HawkVisionError.

    SIGHUP lets a service that `Reloads` look for new versions. A second signal ends the process
    without draining. `parent` is a descriptor that can be read when the process is gone without
    which this one is not wanted.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    reloads = service if isinstance(service, Reloads) else None
    stops = [one for one in stop_signals() if reloads is None or one is not signal.SIGHUP]

    def told() -> None:
        """Drain; whoever says it twice means at once, even if this loop hangs."""
        stop.set()
        for number in stops:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    hang_up = HangUp()

    def hung_up() -> None:
        if hang_up.ends():
            told()
        elif reloads is not None and not stop.is_set():
            _log.info("SIGHUP: looking for new versions and certificates")
            reloads.reload()

    for number in stops:
        loop.add_signal_handler(number, told)
    if reloads is not None:
        loop.add_signal_handler(signal.SIGHUP, hung_up)
    if parent is not None:
        loop.add_reader(parent, stop.set)
    try:
        await service.start()
        gc.collect()
        gc.freeze()  # what was loaded stays: looking through it takes a tenth of a second each time
        memory.forget_start()
        _log.info("ready, at %s", service.address)
        ready(service)
        await stop.wait()
        if parent is not None:
            loop.remove_reader(parent)
        _log.info("drain begins: not ready, what runs is finished")
        await service.drain()
        _log.info("drain ends")
    finally:
        await service.close()


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a service in a new event loop to its end, as `asyncio.run` does.

    A task that swallows its cancellation is left behind after a second, and so is a thread that
    hangs (in a name server's silence, say), which would otherwise hold up the interpreter's end.
    """
    descriptors.raise_limit()
    sys.setswitchinterval(_TURN_S)
    memory.keep_together()
    loop = new_event_loop()
    try:
        loop.run_until_complete(main)
    finally:
        ended = close_loop(loop)
    if not ended:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def close_loop(loop: asyncio.AbstractEventLoop) -> bool:
    """Cancel what still runs in a loop that has stopped, wait a bounded time for it, and close.

    Whether every thread of the loop's executor has ended.
    """
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=_LEFT_BEHIND_S))
    loop.run_until_complete(_within(loop.shutdown_asyncgens()))
    ended = loop.run_until_complete(_within(loop.shutdown_default_executor()))
    loop.close()
    return ended


async def _within(work: Coroutine[Any, Any, None]) -> bool:
    """Whether it ended within the time that what is left behind has."""
    done, _ = await asyncio.wait({asyncio.ensure_future(work)}, timeout=_LEFT_BEHIND_S)
    return bool(done)
