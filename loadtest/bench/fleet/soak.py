"""Memory, descriptors and threads of processes while they run: flat, or growing."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from statistics import median
from typing import Any

import psutil

_EVERY_S = 1.0
_PART = 5
"""What is compared: the second part of so many of the time, and the last; the first warms up."""


class Soak:
    """Samples of processes by name, taken by a thread until `stop`."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._samples: dict[str, list[tuple[float, int, int]]] = {name: [] for name in pids}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._end.wait(_EVERY_S):
            for name, process in self._processes.items():
                try:
                    with process.oneshot():
                        sample = (
                            process.memory_info().rss / 1e6,
                            process.num_fds(),
                            process.num_threads(),
                        )
                except psutil.Error:
                    continue
                self._samples[name].append(sample)

    def stop(self) -> list[dict[str, Any]]:
        """One row for each process that was seen long enough."""
        self._end.set()
        self._thread.join()
        return [soaked(name, found) for name, found in self._samples.items() if len(found) >= _PART]


def soaked(name: str, samples: list[tuple[float, int, int]]) -> dict[str, Any]:
    """MB, descriptors and threads: medians of an early and of the last part of the time."""
    part = len(samples) // _PART
    early, late = samples[part : 2 * part], samples[-part:]
    row: dict[str, Any] = {"process": name}
    for place, what in enumerate(("rss_mb", "descriptors", "threads")):
        row[what] = [median(one[place] for one in found) for found in (early, late)]
    return row
