"""A pool of worker processes: each is asked one thing at a time, watched, and replaced.

Every process has a thread that starts it, waits for its end, says why it ended, and starts it
again after a pause (`restarts.py`). Whoever asks waits for a free one, for a bounded time. A
process that is silent beyond its time is killed. Nothing here knows what is asked.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from hawkvision.engines.worker.process import Frame, WorkerCommand, WorkerEnded, WorkerProcess
from hawkvision.errors import DeadlineExceeded, EngineError, HawkVisionError, UpstreamUnavailable
from hawkvision.serving.job import Clock
from hawkvision.serving.oom import oom_kills
from hawkvision.serving.restarts import Restarts, said_of_exit

_log = logging.getLogger(__name__)

HUNG = "it hung"
OUT_OF_MEMORY = "signal 9 (SIGKILL), out of memory"

_CLOSE_S = 2.0
_TOLD_S = 1.0
"""So long whoever asks a process that ended may take to notice, and to say that it hung."""

_KILL_AGAIN_S = 0.05


@dataclass(eq=False)
class _Place:
    """Of one process after another; `life` counts them."""

    index: int
    restarts: Restarts
    state: Literal["starting", "free", "busy", "down"] = "starting"
    worker: WorkerProcess | None = None
    life: int = 0
    asked: bool = False
    hung: bool = False
    thread: threading.Thread | None = None


@dataclass
class _Seen:
    """What the first start came to."""

    told: dict[int, dict[str, Any]] = field(default_factory=dict)
    failed: EngineError | None = None


class ProcessPool:
    """`count` processes of one `command`. Usable from any thread, from `start` to `close`.

    Each has to say that it is ready within `ready_s` seconds.
    """

    def __init__(
        self,
        command: WorkerCommand,
        count: int,
        *,
        ready_s: float = 120.0,
        clock: Clock = time.monotonic,
        restarts: Callable[[], Restarts] = Restarts,
    ) -> None:
        self._command = command
        self._ready_s = ready_s
        self._clock = clock
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._places = [_Place(index, restarts()) for index in range(count)]
        self._seen = _Seen()
        self.ends: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """How many processes there should be."""
        return len(self._places)

    @property
    def ready(self) -> int:
        """How many are there, at work or free."""
        return sum(place.state in ("free", "busy") for place in self._places)

    @property
    def pids(self) -> list[int]:
        """Of those that are there."""
        with self._changed:
            found = [place.worker for place in self._places if place.state in ("free", "busy")]
        return [one.process.pid for one in found if one is not None and one.process is not None]

    def start(self) -> dict[str, Any]:
        """Start all and wait for them; what the first said of itself when it was ready.

        Raises EngineError where one cannot start; then all are ended.
        """
        for place in self._places:
            place.thread = threading.Thread(
                target=self._keep, args=(place,), name=f"process-{place.index}", daemon=True
            )
            place.thread.start()
        with self._changed:
            while self._seen.failed is None and len(self._seen.told) < self.count:
                self._changed.wait()
            failed = self._seen.failed
        if failed is not None:
            self.close()
            raise failed
        return self._seen.told[0]

    def ask(self, head: dict[str, Any], body: bytes, *, until: float, grace_s: float) -> Frame:
        """What the next free process answers; it may take `grace_s` more than there is `until`.

        Raises EngineError for its own error, WorkerEnded where it ended over this, and where none
        was free by then DeadlineExceeded, or UpstreamUnavailable if none is there at all.
        """
        place, worker, life = self._take(until)
        try:
            seconds = max(0.0, until - self._clock()) + grace_s
            frame = worker.ask(head, body, seconds)
        except WorkerEnded as error:
            place.hung = place.hung or (error.silent and place.life == life)
            self._give_back(place, worker, life)
            raise
        except EngineError:
            self._give_back(place, worker, life)
            raise
        except BaseException:  # half a message may be on its way
            if worker.process is not None:
                worker.process.kill()
            self._give_back(place, worker, life)
            raise
        self._give_back(place, worker, life)
        return frame

    def _take(self, until: float) -> tuple[_Place, WorkerProcess, int]:
        with self._changed:
            while not self._closing.is_set():
                for place in self._places:
                    if place.state == "free" and place.worker is not None:
                        place.state, place.asked = "busy", True
                        return place, place.worker, place.life
                left_s = until - self._clock()
                if left_s <= 0:
                    break
                self._changed.wait(left_s)
            raise self._none_free()

    def _none_free(self) -> HawkVisionError:
        if self.ready and not self._closing.is_set():
            return DeadlineExceeded(
                "no worker process was free by the deadline", hint="Allow more time."
            )
        return UpstreamUnavailable(
            "no worker process is there to compute the answer",
            hint="The gateway's log says why they ended; retry in a few seconds.",
        )

    def _give_back(self, place: _Place, worker: WorkerProcess, life: int) -> None:
        with self._changed:
            if place.life == life:
                place.asked = False
                self._changed.notify_all()
                if place.state == "busy" and worker.running:
                    place.state = "free"
                    return
                place.state = "down"
        worker.stop()

    # The thread of one process.

    def _keep(self, place: _Place) -> None:
        first = True
        while not self._closing.is_set():
            kills = oom_kills()
            place.restarts.started(self._clock())
            worker = WorkerProcess(self._command)
            with self._changed:
                place.worker, place.state = worker, "starting"
                place.hung = place.asked = False
                place.life += 1
            try:
                told, _ = worker.start(self._ready_s)
            except EngineError as error:
                if first:
                    self._failed(error)
                    return
                cause = self._cause_of_start(error)
            else:
                first = False
                code = self._serve(place, worker, told)
                cause = self._cause(place, code, kills)
            if self._closing.is_set():
                return
            self._say_ended(place, cause)

    def _serve(self, place: _Place, worker: WorkerProcess, told: dict[str, Any]) -> int:
        """Until it ends; the exit code."""
        process = worker.process
        assert process is not None
        with self._changed:
            place.state = "free"
            self._seen.told.setdefault(place.index, told)
            self._changed.notify_all()
            if self._closing.is_set():
                process.kill()
        code = process.wait()
        with self._changed:
            idle = place.state == "free"
            place.state = "down"
            self._changed.notify_all()
            self._changed.wait_for(lambda: not place.asked, _TOLD_S)
        if idle:  # else whoever asks it closes the pipes
            worker.stop()
        return code

    def _failed(self, error: EngineError) -> None:
        with self._changed:
            self._seen.failed = self._seen.failed or error
            self._changed.notify_all()

    def _cause(self, place: _Place, code: int, kills: int) -> str:
        if place.hung:
            return HUNG
        if code == -9 and oom_kills() > kills:
            return OUT_OF_MEMORY
        return said_of_exit(code)

    def _cause_of_start(self, error: EngineError) -> str:
        if isinstance(error, WorkerEnded):
            return f"{said_of_exit(error.process_code)} at start"
        return f"it cannot start: {error}"

    def _say_ended(self, place: _Place, cause: str) -> None:
        with self._changed:
            place.state = "down"
            self.ends[cause.partition(":")[0]] += 1
        pause_s = place.restarts.ended(self._clock())
        _log.warning("worker process %d ended, %s; again in %g s", place.index, cause, pause_s)
        self._closing.wait(pause_s)

    def close(self) -> None:
        """Kill all of them: they hold nothing. Whoever waits for one is told that none is there."""
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        until = self._clock() + _CLOSE_S
        for place in self._places:
            while place.thread is not None and place.thread.is_alive():
                process = None if place.worker is None else place.worker.process
                if process is not None:
                    process.kill()
                place.thread.join(_KILL_AGAIN_S)
                if self._clock() >= until:
                    break
