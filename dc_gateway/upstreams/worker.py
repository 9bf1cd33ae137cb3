"""`python -m dc_gateway.upstreams.worker SETTINGS`: one worker process of a gateway.

It says what it has loaded, then answers one message after the other until its input ends, with the
gateway at the latest. Signals that end the gateway leave it alone: it finishes what it has.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dc_gateway.upstreams.compute import Rungs, compute
from dc_gateway.upstreams.wire import decode_work, encode_done
from hawkvision.engines import flavour_of
from hawkvision.engines.worker.frames import read_frame, write_frame
from hawkvision.engines.worker.pipes import take_pipes
from hawkvision.errors import HawkVisionError
from hawkvision.images import ImageLimits
from hawkvision.repository import Repository
from hawkvision.rungs import LoadedRung
from hawkvision.serving import memory

_FIRST_TO_GO = 500
"""Of -1000 to 1000: where memory runs out, rather a worker than the gateway. Source: proc(5)."""


@dataclass(frozen=True)
class WorkerSettings:
    """What one worker loads: versions by task, and how nice it is, setpriority(2)."""

    repository: str
    engine: str
    versions: dict[str, str]
    limits: ImageLimits
    nice: int = 0

    def as_text(self) -> str:
        """See `parse`."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> WorkerSettings:
        """What `as_text` made."""
        found = json.loads(text)
        return cls(**{**found, "limits": ImageLimits(**found["limits"])})


def load(settings: WorkerSettings, only: str | None = None) -> Rungs:
    """The data-center rungs of all tasks, or those with this name. Raises HawkVisionError."""
    repository = Repository(Path(settings.repository))
    flavour = flavour_of(settings.engine)
    rungs = {}
    for name, version in settings.versions.items():
        task = repository.open(name, version, flavour=flavour)
        references = task.references()
        for rung in task.rungs[1:]:
            if only is not None and rung.name != only:
                continue
            reference = None if references is None else references.rungs.get(rung.name)
            rungs[name, rung.name] = LoadedRung.open(
                rung, task.kind, engine=settings.engine, reference=reference
            )
    return rungs


def told_of(rungs: Rungs) -> list[dict[str, Any]]:
    """What the gateway has to know of each."""
    return [
        {
            "task": task,
            "rung": name,
            "asked": rung.asked,
            "metadata": asdict(rung.engine.metadata),
            "agreement": asdict(rung.agreement),
        }
        for (task, name), rung in rungs.items()
    ]


def _stand_back(nice: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(nice)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_FIRST_TO_GO))


def main(text: str) -> None:
    """Serve until the input ends."""
    settings = WorkerSettings.parse(text)
    requests, replies = take_pipes()
    logging.getLogger().addHandler(logging.NullHandler())  # the gateway says what is to be said
    _stand_back(settings.nice)
    memory.keep_together()
    try:
        rungs = load(settings)
    except HawkVisionError as error:
        write_frame(replies, {"error": error.message, "hint": error.hint})
        return
    write_frame(replies, {"ready": told_of(rungs)})
    while (frame := read_frame(requests)) is not None:
        try:
            head, body = encode_done(compute(rungs, decode_work(*frame), settings.limits))
        except HawkVisionError as error:
            head, body = {"error": error.message, "hint": error.hint}, b""
        except Exception:
            head, body = {"error": traceback.format_exc(), "hint": ""}, b""
        del frame
        write_frame(replies, head, body)


if __name__ == "__main__":
    main(sys.argv[1])
