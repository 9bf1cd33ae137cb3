"""What a request takes on this machine: an agent and a gateway are started and asked.

Processor time is what the kernel books for each process (proc(5), `stat`); times are from when a
request was sent to when the reply was here, one after the other.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import orjson

from hawkvision.cli.processes import Child, stop_all
from hawkvision.cli.stamped import StampedConnection, post
from hawkvision.errors import HawkVisionError
from hawkvision.planning.costs import (
    EdgeCosts,
    GatewayCosts,
    Step,
    gateway_costs,
    of_times,
    steady,
)
from hawkvision.repository import Task

_LOCAL = "0.01"
_UP = "relative:0.000001"
"""At this target everything escalates."""

_WARM_UP = 30
_DEADLINE_MS = 20_000
_PATIENCE_S = 60.0
_LEAST = 20
_MOST_UP = 0.5
_SLOWEST, _FASTEST = 10.0, 2000.0
"""Requests a second that are tried: slower ones cost no more than these, and take long."""

Inside = Callable[[list[str]], list[str]]


class _Client:
    """One connection, one request at a time."""

    def __init__(self, address: str, task: Task) -> None:
        host, _, port = address.rpartition(":")
        self._connection = StampedConnection(host, int(port), _PATIENCE_S)
        self._path = f"/v1/classify?task={quote(task.name)}&deadline_ms={_DEADLINE_MS}"
        self._places = {rung.name: place for place, rung in enumerate(task.rungs)}

    def ask(self, image: bytes, accuracy: str) -> tuple[float, int]:
        """How long the answer took, ms, and the place of the rung that gave it.

        Raises HawkVisionError where there is none.
        """
        connection = self._connection
        try:
            reply = connection.ask(post(f"{self._path}&accuracy={accuracy}", image), image)
        except OSError as error:
            raise HawkVisionError(f"measuring: the agent does not answer: {error}") from error
        if reply.status != 200:
            raise HawkVisionError(f"measuring: the agent says {reply.status}: {reply.body[:200]!r}")
        answer = orjson.loads(reply.body)
        if answer["degraded"] is not None:
            raise HawkVisionError(f"measuring: an answer is degraded: {answer['degraded']}")
        return (reply.came_ns - connection.sent_ns) / 1e6, self._places[answer["rung"]]

    def close(self) -> None:
        """Give it back."""
        self._connection.close()


def cpu_s(pid: int) -> float:
    """Processor time of a process and its threads so far, s (proc(5), `schedstat`, else `stat`).

    Raises HawkVisionError without procfs.
    """
    folder = Path(f"/proc/{pid}")
    try:
        try:
            threads = [path.read_text() for path in folder.glob("task/*/schedstat")]
        except FileNotFoundError:  # a thread has just ended
            threads = []
        if threads:
            return sum(int(one.split()[0]) for one in threads) / 1e9
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError as error:
        raise HawkVisionError(
            "processor time is read from /proc, which is not here",
            hint="Measure on Linux, or plan with task.toml's costs.",
        ) from error
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measuring:
    """What is asked, and where it runs. `rate` is of the agent's requests, `call_rate` of calls.

    Costs depend on them: what has idled wakes up to cold caches. `edge_inside` and
    `gateway_inside` put the two processes elsewhere (on cores of their own, say). Each of its parts
    takes about `seconds`.
    """

    task: Task
    repository: Path
    images: Sequence[bytes]
    rate: float
    call_rate: float
    edge_inside: Inside = list
    gateway_inside: Inside = list
    seconds: float = 5.0

    @property
    def up_share(self) -> float:
        """Of requests whose image goes up, while answers of the edge are measured."""
        return min(_MOST_UP, self.call_rate / self.rate)


@dataclass(frozen=True)
class Phase:
    """Of some requests: CPU of both sides for each, ms, times, and who answered.

    Of the requests `up_share` were there only for others to be measured beside them; `times` and
    `places` are of the rest.
    """

    edge_ms: float
    gateway_ms: float
    times: npt.NDArray[np.float64]
    places: Counter[int]
    up_share: float = 0.0


def measure(wanted: Measuring, say: Callable[[str], None]) -> tuple[EdgeCosts, GatewayCosts]:
    """Some twenty seconds, on loopback. Raises HawkVisionError."""
    say("starting an agent and a gateway")
    with _both(wanted) as (edge, gateway, client):
        bench = _Bench(wanted, client, (edge.process.pid, gateway.process.pid))
        for _ in range(_WARM_UP):
            bench.phase(_LOCAL, 1, None)
            bench.phase(_UP, 1, None)
        idle = bench.idle()
        say("answers of the edge")
        local, local_warm = (
            bench.phase(_LOCAL, bench.count(wanted.rate, 600), wanted.rate, wanted.up_share),
            bench.phase(_LOCAL, bench.count(60.0, 600), None),
        )
        say("answers of the data center")
        up, up_warm = (
            bench.phase(_UP, bench.count(wanted.call_rate, 300), wanted.call_rate),
            bench.phase(_UP, bench.count(30.0, 300), None),
        )
    return costs_of(wanted, idle, local, local_warm, up, up_warm)


def costs_of(
    wanted: Measuring,
    idle: tuple[float, float],
    local: Phase,
    local_warm: Phase,
    up: Phase,
    up_warm: Phase,
) -> tuple[EdgeCosts, GatewayCosts]:
    """Pure. What a call takes is shared out among its parts as `gateway_costs` has them."""
    source = f"measured, {wanted.rate:.3g} requests/s and {wanted.call_rate:.3g} calls/s"
    escalate_ms = max(0.0, up_warm.edge_ms - local_warm.edge_ms)
    first_ms = max(0.0, local.edge_ms - local.up_share * escalate_ms)
    first = replace(
        of_times(list(local.times), first_ms), warm=_share(local_warm.edge_ms, first_ms)
    )
    # An escalated request's first part took longer where the agent had idled longer before it.
    edge_part = max(0.0, up.edge_ms - escalate_ms)
    before_ms = float(local.times.mean()) * (edge_part / first_ms if first_ms else 1.0)
    rest = np.sort(np.maximum(up.times - before_ms - escalate_ms, up.gateway_ms / 2))
    known = gateway_costs(wanted.task)
    warm = _share(up_warm.gateway_ms, up.gateway_ms)
    parts = [
        sum(one.cpu_ms for one in known.rungs[:place]) for place in range(len(known.rungs) + 1)
    ]
    whole = known.call.cpu_ms + sum(
        share * parts[place] for place, share in up.places.items()
    ) / sum(up.places.values())

    def part(step: Step) -> Step:
        share = step.cpu_ms / whole
        return replace(of_times(list(rest * share), up.gateway_ms * share), warm=warm)

    rungs = tuple(part(step) for step in known.rungs)
    return (
        EdgeCosts(first, steady(escalate_ms), rungs, idle[0], source),
        GatewayCosts(part(known.call), rungs, part(known.call).cpu_ms, idle[1], source),
    )


def _share(less: float, more: float) -> float:
    return min(1.0, less / more) if more > 0 else 1.0


class _Bench:
    def __init__(self, wanted: Measuring, client: _Client, pids: tuple[int, int]) -> None:
        self._images = itertools.cycle(wanted.images)
        self._client = client
        self._pids = pids
        self._rng = random.Random(1)
        self._seconds = wanted.seconds

    def count(self, rate: float, most: int) -> int:
        """So many that they take their time at a rate, within bounds."""
        return int(min(max(_SLOWEST, rate) * self._seconds + _LEAST, most))

    def idle(self) -> tuple[float, float]:
        """Cores that the two take while nobody asks."""
        before = [cpu_s(pid) for pid in self._pids]
        time.sleep(self._seconds)
        edge, gateway = (cpu_s(pid) - one for pid, one in zip(self._pids, before, strict=True))
        return edge / self._seconds, gateway / self._seconds

    def phase(self, accuracy: str, count: int, rate: float | None, up_share: float = 0.0) -> Phase:
        """Requests one after the other: Poisson with a rate, or as fast as they are answered.

        With `up_share` some escalate, as in traffic: whoever comes after them finds colder caches.
        """
        before = [cpu_s(pid) for pid in self._pids]
        times: list[float] = []
        places: Counter[int] = Counter()
        for _ in range(count):
            beside = self._rng.random() < up_share
            took_ms, place = self._client.ask(next(self._images), _UP if beside else accuracy)
            if not beside:
                times.append(took_ms)
                places[place] += 1
            if rate is not None:
                gap_s = self._rng.expovariate(min(max(rate, _SLOWEST), _FASTEST))
                time.sleep(max(0.0, gap_s - took_ms / 1e3))
        edge, gateway = (cpu_s(pid) - one for pid, one in zip(self._pids, before, strict=True))
        share = 1 - len(times) / count
        return Phase(1e3 * edge / count, 1e3 * gateway / count, np.array(times), places, share)


@contextlib.contextmanager
def _both(wanted: Measuring) -> Iterator[tuple[Child, Child, _Client]]:
    """As they are started for one core each; nothing is audited or steered meanwhile."""
    served = ["--port", "0", "--threads", "1", "--task", wanted.task.name]
    served += ["--model-repository", str(wanted.repository), "--log-level", "warning"]
    children: list[Child] = []
    try:
        children.append(Child("dc", served, echo=False, inside=wanted.gateway_inside))
        gateway = _address(children[0])
        words = [*served, "--gateway", gateway, "--audit-share", "0", "--no-control"]
        children.append(Child("edge", words, echo=False, inside=wanted.edge_inside))
        client = _Client(_address(children[1]), wanted.task)
        try:
            yield children[1], children[0], client
        finally:
            client.close()
    finally:
        stop_all(children)


def _address(child: Child) -> str:
    return child.wait_ready().rpartition("/")[2]
