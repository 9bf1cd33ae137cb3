"""What agents deliver whose data center is another server, and what they answer when it dies.

`python -m tests.dc_gateway.upstreams.through_agents --data DIR --triton VENV`: photos that neither
trained nor calibrated go through an agent that asks a Triton, and one that asks a gateway before
it; then Triton is killed under load and started again. `--gateway HOST:PORT` in place of
`--triton`: an agent that asks this server (the first part alone).
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from hawkvision.calibration.intervals import accuracy_interval
from hawkvision.client import Client
from hawkvision.contract.answer import Answer
from hawkvision.errors import HawkVisionError
from hawkvision.repository import Repository, Task, shipped_repository
from loadtest.bench.chain import Photo
from loadtest.bench.lossy import unseen_photos
from loadtest.bench.triton import why_absent
from tests.dc_gateway.upstreams.triton_server import kill, port_of, start_triton
from tests.processes import edge, gateway

_TASK = "imagenette"
_CALLERS = 4
_DEADLINE_MS = 2000.0
_STEADY_S = 3.0
_AWAY_S = 5.0


def photos(archive: Path, task: Task) -> list[Photo]:
    """All that nothing was fitted on."""
    return [Photo(one.data, task.kind.truth(one.label)) for one in unseen_photos(archive)]


def deliver(name: str, address: str, task: Task, images: Sequence[Photo], accuracy: float) -> None:
    """Print what the agent delivers."""
    with Client(address) as client, ThreadPoolExecutor(_CALLERS) as pool:
        answers = list(
            pool.map(lambda one: client.classify(one.data, accuracy=accuracy, top_k=1), images)
        )
    losses = np.array(
        [
            task.kind.loss(task.kind.parse_answer(answer.prediction), image.truth)
            for answer, image in zip(answers, images, strict=True)
        ]
    )
    low, high = accuracy_interval(losses, binary=task.kind.binary)
    escalated = sum(answer.escalated for answer in answers)
    by_dc = sum(answer.served_by == "dc" for answer in answers)
    uncertified = sum(not answer.certified for answer in answers)
    print(
        f"{name:22} {len(answers)} photos at {accuracy}: right {1 - losses.mean():.3f} "
        f"[{low:.3f}, {high:.3f}], escalated {escalated}, answered there {by_dc}, "
        f"not certified {uncertified}"
    )


@dataclass
class Load:
    """Callers one after the other, of photos that the edge is not sure of, until `stop`."""

    address: str
    images: Sequence[Photo]
    accuracy: float
    answers: list[tuple[float, float, Answer]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    stop: bool = False

    def call(self, first: int) -> None:
        with Client(self.address) as client:
            place = first
            while not self.stop:
                begun = time.monotonic()
                image = self.images[place % len(self.images)].data
                try:
                    answer = client.classify(
                        image, accuracy=self.accuracy, deadline_ms=_DEADLINE_MS
                    )
                except HawkVisionError as error:
                    self.failed.append(f"{error.code}: {error.message}")
                else:
                    now = time.monotonic()
                    self.answers.append((now, now - begun, answer))
                place += _CALLERS

    def by_dc_after(self, when: float) -> float | None:
        """When the first answer of the data center came that is later, `time.monotonic`."""
        return next(
            (at for at, _, one in self.answers if at > when and one.served_by == "dc"), None
        )


def die(loads: dict[str, Load], kill: Callable[[], None], start: Callable[[], object]) -> None:
    """Kill what the agents ask, start it again, and print what they answered."""
    threads = [
        threading.Thread(target=load.call, args=[first])
        for load in loads.values()
        for first in range(_CALLERS)
    ]
    for thread in threads:
        thread.start()
    time.sleep(_STEADY_S)
    kill()
    killed = time.monotonic()
    time.sleep(_AWAY_S)
    start()
    ready = time.monotonic()
    while any(load.by_dc_after(ready) is None for load in loads.values()):
        if time.monotonic() > ready + 60:
            break
        time.sleep(0.05)
    time.sleep(_STEADY_S)
    for load in loads.values():
        load.stop = True
    for thread in threads:
        thread.join()
    for name, load in loads.items():
        back = load.by_dc_after(ready)
        reasons = Counter(str(one.degraded) for _, _, one in load.answers if one.degraded)
        print(
            f"{name:22} {len(load.answers) + len(load.failed)} requests, {len(load.failed)} not "
            f"answered, {sum(reasons.values())} degraded {dict(reasons)}, longest "
            f"{max(took for _, took, _ in load.answers):.2f} s; it answered again "
            f"{'never' if back is None else f'{back - ready:.2f} s'} after it was ready, "
            f"ready {ready - killed:.1f} s after its death"
        )
        for text, count in Counter(load.failed).most_common(3):
            print(f"  {count} x {text[:150]}")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--triton", type=Path)
    parser.add_argument("--gateway")
    parser.add_argument("--accuracy", type=float, default=0.90)
    parser.add_argument("--images", type=int)
    asked = parser.parse_args()
    repository = shipped_repository()
    task = Repository(repository).open(_TASK)
    images = photos(asked.data / "imagenette.tar.gz", task)[: asked.images]
    options = ("--task", _TASK, "--no-control", "--audit-share", "0")
    if asked.gateway:
        with edge(repository, asked.gateway, *options) as agent:
            deliver(asked.gateway, f"http://{agent.address}", task, images, asked.accuracy)
        return
    if (why := why_absent(asked.triton)) is not None:
        raise SystemExit(f"NOT TRIED: {why}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running = [start_triton(asked.triton, repository, _TASK, folder / "first")]
        stack.callback(lambda: running[-1].stop())
        at = running[0].grpc
        before = stack.enter_context(gateway(repository, "--upstream", at, "--task", "roadsigns"))
        agents = {
            "agent, Triton": stack.enter_context(edge(repository, at, *options)),
            "agent, gateway, Triton": stack.enter_context(
                edge(repository, before.address, *options)
            ),
        }
        for name, agent in agents.items():
            deliver(name, f"http://{agent.address}", task, images, asked.accuracy)

        def start() -> None:
            again = folder / "second", port_of(running[0])
            running.append(start_triton(asked.triton, repository, _TASK, *again))

        loads = {
            name: Load(f"http://{agent.address}", _unsure(agent.address, images), asked.accuracy)
            for name, agent in agents.items()
        }
        die(loads, partial(kill, running[0]), start)


def _unsure(address: str, images: Sequence[Photo]) -> list[Photo]:
    with Client(f"http://{address}") as client:
        answers = [client.classify(image.data, accuracy=0.90) for image in images[:200]]
    return [image for image, one in zip(images, answers, strict=False) if one.escalated]


if __name__ == "__main__":
    main()
