"""How far a build is, said as it goes: a build takes minutes on a small device."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

EVERY_S = 5.0


class Progress:
    """Says the step of the outermost phase, at most every `EVERY_S`. Takes the time as `now`."""

    def __init__(self, report: Callable[[str], None], now: float) -> None:
        self._report = report
        self._last = now
        self._outermost = ""
        self._steps = 0

    def started(self, phase: str, parent: str, steps: int) -> None:
        """A phase of `steps` begins; only those without a parent are spoken of."""
        if not parent:
            self._outermost, self._steps = phase, steps

    def stepped(self, phase: str, step: int, now: float) -> None:
        """A step is done."""
        if phase == self._outermost and now - self._last >= EVERY_S:
            self._last = now
            self._report(f"{phase}, step {step + 1} of {self._steps}")


def make_monitor(trt: Any, report: Callable[[str], None]) -> Any:
    """TensorRT's `IProgressMonitor` over `Progress`."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._progress = Progress(report, time.monotonic())

        def phase_start(self, phase_name: str, parent_phase: Any, num_steps: int) -> None:
            self._progress.started(phase_name, parent_phase or "", num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._progress.stepped(phase_name, step, time.monotonic())
            return True

        def phase_finish(self, phase_name: str) -> None:
            pass

    return Monitor()
