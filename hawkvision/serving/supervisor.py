"""Worker processes that are forked from one parent: started, watched, replaced, drained.

The parent has loaded what is heavy, so that workers share its memory, and has one thread and an
event loop of its own, which does not run while it forks. Nothing here knows what workers do.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import orjson

from hawkvision.errors import HawkVisionError
from hawkvision.serving.restarts import Restarts, said_of_exit
from hawkvision.serving.service import HangUp, close_loop, stop_signals

_log = logging.getLogger(__name__)
_STOP_S = 4.3
"""How long workers have to drain and end; a service as a whole has five seconds."""

SILENT_S = 10.0
"""A worker whose event loop has not said for so long that it turns hangs, and is replaced."""

ALIVE_S = 1.0
"""How often a worker says so."""

_LONGEST_WAIT_S = 5.0
_SAID_BYTES = 4096
Told = Mapping[str, Any]
"""What a worker says of itself when it is ready; JSON can say it."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a worker tells its parent by; never blocks, and never fails when the parent is gone."""

    pipe: int

    def ready(self, told: Told) -> None:
        """It serves."""
        _say(self.pipe, {"ready": dict(told)})

    def alive(self) -> None:
        """Its event loop turns: to be said every `ALIVE_S` from the first time on."""
        _say(self.pipe, {"alive": True})


class Crew(Protocol):
    """What the parent has for its workers, and what each of them does."""

    async def start(self) -> None:
        """In the parent, before any worker. Starts no thread. Raises HawkVisionError."""
        ...

    def work(self, index: int, line: Line, parent: int) -> None:
        """In a worker, to its end. `parent` is a descriptor that ends with the parent.

        Raises HawkVisionError.
        """
        ...

    def descriptors(self) -> Iterable[int]:
        """Those of the parent that no worker may hold."""
        ...

    def all_ready(self, told: Told) -> None:
        """In the parent, once: all workers are ready; what the first of them said."""
        ...

    def hung_up(self) -> None:
        """In the parent: SIGHUP came, and is passed on to the workers that are ready."""
        ...

    def started(self, index: int) -> None:
        """In the parent: a worker is ready."""
        ...

    def ended(self, index: int, cause: str) -> None:
        """In the parent: a worker ended by itself."""
        ...

    async def close(self) -> None:
        """In the parent, after all workers."""
        ...


@dataclass
class _Worker:
    """One process."""

    index: int
    pid: int
    pipe: int
    ready: bool = False
    heard: float | None = None
    hung: bool = False
    failed: HawkVisionError | None = None
    said: bytearray = field(default_factory=bytearray)


def supervise(count: int, crew: Crew, *, silent_s: float = SILENT_S) -> None:
    """Keep `count` workers until one of `stop_signals`, on the main thread.

    One that said once that it is alive, and then nothing for `silent_s`, is killed and replaced.
    Raises HawkVisionError for what cannot start; the workers then have ended too.
    """
    _Supervisor(count, crew, silent_s).run()


class _Supervisor:
    def __init__(self, count: int, crew: Crew, silent_s: float) -> None:
        self._count = count
        self._silent_s = silent_s
        self._crew = crew
        self._loop = asyncio.SelectorEventLoop()
        self._wake = asyncio.Event()
        self._workers: dict[int, _Worker] = {}
        self._restarts = [Restarts() for _ in range(count)]
        self._due = dict.fromkeys(range(count), 0.0)
        self._life, self._held = os.pipe()  # workers see its end when this process is gone
        self._signals = [one for one in stop_signals() if one is not signal.SIGHUP]
        self._handled: set[signal.Signals] = {*self._signals, signal.SIGHUP, signal.SIGCHLD}
        self._hang_up = HangUp()
        self._stopped_by: signal.Signals | None = None
        self._kill_at: float | None = None
        self._at_once = False
        self._all_ready = False
        self._fatal: HawkVisionError | None = None

    def run(self) -> None:
        for number in self._signals:
            self._loop.add_signal_handler(number, self._told, number)
        self._loop.add_signal_handler(signal.SIGHUP, self._hung_up)
        self._loop.add_signal_handler(signal.SIGCHLD, self._wake.set)
        try:
            self._loop.run_until_complete(self._crew.start())
            while not self._over():
                self._fork_due(time.monotonic())
                self._loop.run_until_complete(self._something())
                self._reap(time.monotonic())
                self._end_silent()
        finally:
            self._kill()
            self._loop.run_until_complete(self._crew.close())
            for handled in self._handled:
                self._loop.remove_signal_handler(handled)
            os.close(self._life)
            os.close(self._held)
            close_loop(self._loop)
        if self._fatal is not None:
            raise self._fatal
        if self._at_once and self._stopped_by is not None:
            signal.signal(self._stopped_by, signal.SIG_DFL)
            os.kill(os.getpid(), self._stopped_by)

    def _over(self) -> bool:
        return self._ending and not self._workers

    @property
    def _ending(self) -> bool:
        return self._stopped_by is not None or self._fatal is not None

    # What happens to the parent.

    def _told(self, number: signal.Signals) -> None:
        """Drain; whoever says it twice means at once."""
        if self._stopped_by is not None:
            self._at_once = True
            self._kill_at = 0.0
        self._stopped_by = number
        self._drain()

    def _hung_up(self) -> None:
        if self._hang_up.ends():
            self._told(signal.SIGHUP)
            return
        self._crew.hung_up()
        for worker in self._workers.values():
            if worker.ready:  # before, the signal would end it; it loads the newest anyway
                os.kill(worker.pid, signal.SIGHUP)

    def _drain(self) -> None:
        if self._kill_at is None:
            self._kill_at = time.monotonic() + _STOP_S
            for worker in self._workers.values():
                os.kill(worker.pid, signal.SIGTERM)
        self._wake.set()

    async def _something(self) -> None:
        """Until a signal, a word of a worker, or the time that something is due."""
        now = time.monotonic()
        silent = [
            one.heard + self._silent_s
            for one in self._workers.values()
            if one.heard and not one.hung
        ]
        due = [self._kill_at] if self._ending else [*self._due.values(), *silent]
        wait_s = min([max(0.0, at - now) for at in due if at is not None], default=_LONGEST_WAIT_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(wait_s, _LONGEST_WAIT_S)):
                await self._wake.wait()
        self._wake.clear()

    def _kill(self) -> None:
        for worker in self._workers.values():
            os.kill(worker.pid, signal.SIGKILL)
        for worker in list(self._workers.values()):
            os.waitpid(worker.pid, 0)
            self._forget(worker)

    # Workers begin.

    def _fork_due(self, now: float) -> None:
        if self._ending:
            return
        for index in [index for index, at in self._due.items() if at <= now]:
            del self._due[index]
            self._restarts[index].started(now)
            try:
                self._fork(index)
            except OSError as error:  # no process more, no memory, no descriptor
                self._ended(index, error.strerror or str(error), now)

    def _fork(self, index: int) -> None:
        pipe, tell = os.pipe()
        os.set_blocking(tell, False)
        sys.stdout.flush()
        sys.stderr.flush()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, self._handled)
        try:
            with warnings.catch_warnings():
                # OpenBLAS has threads, and handlers of its own that end them before a fork.
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
            if pid == 0:
                self._child(index, tell, before)
        except OSError:
            os.close(pipe)
            raise
        finally:
            os.close(tell)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.set_blocking(pipe, False)
        worker = self._workers[index] = _Worker(index, pid, pipe)
        self._loop.add_reader(pipe, self._listen, worker)

    def _child(self, index: int, tell: int, mask: Iterable[int]) -> NoReturn:
        """Everything that the new process does. Its parent's frames are never returned to."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in self._handled:
                signal.signal(number, signal.SIG_DFL)
            os.setsid()  # Ctrl-C reaches it through the parent, once
            self._let_go()
            signal.pthread_sigmask(signal.SIG_SETMASK, set(mask))
            self._crew.work(index, Line(tell), self._life)
            status = 0
        except HawkVisionError as error:
            _say(tell, {"message": error.message, "hint": error.hint})
        except BaseException as error:
            _log.exception("worker %d failed", index)
            _say(tell, {"message": f"{type(error).__name__}: {error}", "hint": ""})
        finally:
            with contextlib.suppress(Exception):
                logging.shutdown()
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _let_go(self) -> None:
        """The parent's descriptors become /dev/null, so that closing them twice harms nobody."""
        nothing = os.open(os.devnull, os.O_RDWR)
        own = [self._held, *(worker.pipe for worker in self._workers.values())]
        for descriptor in (*own, *self._crew.descriptors()):
            os.dup2(nothing, descriptor)
        os.close(nothing)

    def _listen(self, worker: _Worker) -> None:
        """What a worker says: that it is ready, or why it cannot be."""
        try:
            while more := os.read(worker.pipe, _SAID_BYTES):
                worker.said += more
            self._loop.remove_reader(worker.pipe)
        except BlockingIOError:
            pass
        while b"\n" in worker.said:
            line, _, rest = worker.said.partition(b"\n")
            worker.said = bytearray(rest)
            told = orjson.loads(bytes(line))
            if "alive" in told:
                worker.heard = time.monotonic()
            elif "ready" in told:
                worker.ready = True
                self._crew.started(worker.index)
                self._look_at_all(told["ready"])
            else:
                worker.failed = HawkVisionError(told["message"], hint=told["hint"])

    def _look_at_all(self, told: Told) -> None:
        ready = sum(worker.ready for worker in self._workers.values())
        if ready == self._count and not self._all_ready and not self._ending:
            self._all_ready = True
            self._crew.all_ready(told)

    # Workers end.

    def _end_silent(self) -> None:
        """Kill those that hang; what they said while this process itself stood still counts."""
        for worker in self._workers.values():
            if worker.heard is None or worker.hung or self._ending:
                continue
            if time.monotonic() - worker.heard >= self._silent_s:
                self._listen(worker)
            if time.monotonic() - worker.heard >= self._silent_s:
                worker.hung = True
                _log.warning(
                    "worker %d hangs: nothing of it for %g s; killed", worker.index, self._silent_s
                )
                os.kill(worker.pid, signal.SIGKILL)

    def _reap(self, now: float) -> None:
        for worker in list(self._workers.values()):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                self._listen(worker)
                self._forget(worker)
                cause = "it hung" if worker.hung else cause_of(status)
                self._ended(worker.index, cause, now, worker.failed)
        if self._ending:
            self._drain()
            if self._kill_at is not None and now >= self._kill_at:
                if not self._at_once and self._workers:
                    _log.warning("workers do not end within %g s, and are killed", _STOP_S)
                self._kill()

    def _forget(self, worker: _Worker) -> None:
        del self._workers[worker.index]
        self._loop.remove_reader(worker.pipe)
        os.close(worker.pipe)

    def _ended(
        self, index: int, cause: str, now: float, failed: HawkVisionError | None = None
    ) -> None:
        if self._ending:
            return
        self._crew.ended(index, cause)
        if not self._all_ready:
            self._fatal = failed or HawkVisionError(f"worker {index} ended at start: {cause}")
            return
        pause_s = self._restarts[index].ended(now)
        self._due[index] = now + pause_s
        why = cause if failed is None else f"{cause}: {failed}"
        _log.warning("worker %d ended, %s; again in %g s", index, why, pause_s)


def _say(pipe: int, told: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError):
        os.write(pipe, orjson.dumps(told) + b"\n")


def cause_of(status: int) -> str:
    """In words, what waitpid(2) says: `status 1`, or `signal 9 (SIGKILL)`."""
    return said_of_exit(os.waitstatus_to_exitcode(status))
