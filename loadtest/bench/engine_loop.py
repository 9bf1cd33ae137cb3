"""One engine in a process of its own: opens rungs, then times batches when it is told to.

`python -m loadtest.bench.engine_loop ENGINE THREADS REPOSITORY TASK RUNG…` writes a JSON line for
each rung it opened or could not, then reads `{"rung", "batch", "seconds"}` lines and answers each
with `{"ms": […]}`, the time of every call, or `{"error"}`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from hawkvision.errors import HawkVisionError
from hawkvision.repository import Repository
from hawkvision.rungs import LoadedRung

_WARM_CALLS = 3
"""Of every batch size: the first builds what is lazy, the second captures graphs."""


def main() -> None:
    """See the module."""
    engine, threads, repository, task_name = sys.argv[1:5]
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print what they like
    task = Repository(Path(repository)).open(task_name)
    rungs: dict[str, LoadedRung] = {}
    for name in sys.argv[5:]:
        try:
            rungs[name] = LoadedRung.open(
                task.rung(name),
                task.kind,
                engine=engine,
                threads=int(threads),
                reference=task.reference(name),
            )
        except HawkVisionError as error:
            _say(replies, {"rung": name, "error": error.message})
            continue
        agreement = rungs[name].agreement.as_dict()
        _say(replies, {"rung": name, **rungs[name].running(), "agreement": agreement})
    for line in sys.stdin:
        wanted = json.loads(line)
        try:
            _say(replies, {"ms": _timed(rungs[wanted["rung"]], wanted["batch"], wanted["seconds"])})
        except HawkVisionError as error:
            _say(replies, {"error": error.message})


def _timed(rung: LoadedRung, batch: int, seconds: float) -> list[float]:
    """Milliseconds of each call, from pixels in the host's memory to outputs there."""
    shape = (batch, rung.geometry.height, rung.geometry.width, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8).transpose(0, 3, 1, 2)
    for _ in range(_WARM_CALLS):
        rung.engine.infer(pixels)
    found: list[float] = []
    end = time.perf_counter() + seconds
    while not found or time.perf_counter() < end:
        start = time.perf_counter()
        rung.engine.infer(pixels)
        found.append((time.perf_counter() - start) * 1e3)
    return found


def _say(replies: Any, body: dict[str, Any]) -> None:
    replies.write(json.dumps(body) + "\n")
    replies.flush()


if __name__ == "__main__":
    main()
