"""An open-loop client whose own slowness is in no time that it tells: Poisson arrivals.

`python -m loadtest.bench.plan.client` reads a plan as JSON from standard input and prints what came
back, one column for each field. A request's time is from when it was sent to when the kernel had
the reply's last bytes for us (socket(7), `SO_TIMESTAMPNS`), however much later we came to read it.
"""

from __future__ import annotations

import gc
import json
import random
import select
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from hawkvision.cli.stamped import StampedConnection, post
from loadtest.arrivals import arrivals
from loadtest.mix import Mix
from loadtest.shapes import steady

_PATIENCE_S = 3.0
_WARM_UP = 10
_OPEN = 16
"""Connections that are opened before the first request."""


@dataclass
class Columns:
    """One entry for each request that was due."""

    target: list[float] = field(default_factory=list)
    due_s: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    """From when it was sent; -1 where no answer came."""
    status: list[int] = field(default_factory=list)
    """Of HTTP; 0 where none came, -1 where it was not even sent."""
    right: list[int] = field(default_factory=list)
    by: list[str] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    """How much later than due the client sent it."""
    read_ms: list[float] = field(default_factory=list)
    """How much later than it came the client read the reply; -1 where none came."""

    def append(self, target: float, due_s: float) -> None:
        """One more that is due, of which nothing is known yet."""
        self.target.append(target)
        self.due_s.append(round(due_s, 4))
        self.ms.append(-1.0)
        self.status.append(0)
        self.right.append(0)
        self.by.append("")
        self.late_ms.append(0.0)
        self.read_ms.append(-1.0)


@dataclass(frozen=True)
class _Due:
    """A request of the plan: what goes out `after_s` seconds from the start."""

    after_s: float
    head: bytes
    image: bytes
    label: str


class _Client:
    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        folder = Path(plan["images"])
        self._images = [
            ((folder / name).read_bytes(), label)
            for name, label in json.loads((folder / "labels.json").read_text())
        ]
        self._rng = random.Random(plan["seed"])
        self._targets = Mix.of([(float(one), float(weight)) for one, weight in plan["targets"]])
        self._free: list[StampedConnection] = []
        self._busy: dict[StampedConnection, int] = {}
        self._replies: dict[int, bytes] = {}
        self.columns = Columns()

    def run(self) -> None:
        """Send what is due when it is due; what replies say is read at the end."""
        self._warm_up()
        wanted = self._drawn()
        gc.freeze()
        begun, begun_ns = time.perf_counter(), time.time_ns()
        for row, one in enumerate(wanted):
            while (left := begun + one.after_s - time.perf_counter()) > 0:
                self._receive(left)
            if (connection := self._take()) is None:
                self.columns.status[row] = -1
                continue
            try:
                connection.send(one.head, one.image)
            except OSError:
                connection.close()
                continue
            self._busy[connection] = row
            late_ms = (connection.sent_ns - begun_ns) / 1e6 - one.after_s * 1e3
            self.columns.late_ms[row] = round(late_ms, 3)
        end = time.perf_counter() + _PATIENCE_S
        while self._busy and (left := end - time.perf_counter()) > 0:
            self._receive(left)
        self._read(wanted)

    def close(self) -> None:
        """End all connections."""
        for connection in [*self._free, *self._busy]:
            connection.close()

    def _warm_up(self) -> None:
        """Connections are opened, and some answers come first: networks are loaded.

        Ends where none comes.
        """
        self._free = [self._connect() for _ in range(min(_OPEN, self._plan["connections"]))]
        image = self._images[0][0]
        head = self._head(image, self._targets.values[-1])
        until, answered = time.perf_counter() + _PATIENCE_S, 0
        while answered < _WARM_UP:
            reply = self._free[-1].ask(head, image)
            answered += reply.status == 200
            if reply.status != 200:
                if time.perf_counter() > until:
                    sys.exit(f"nobody answers: status {reply.status} {reply.body[:200]!r}")
                time.sleep(0.05)

    def _connect(self) -> StampedConnection:
        return StampedConnection(self._plan["host"], self._plan["port"], _PATIENCE_S)

    def _head(self, image: bytes, target: float) -> bytes:
        path, deadline_ms = self._plan["path"], self._plan["deadline_ms"]
        return post(f"{path}&accuracy={target}&deadline_ms={deadline_ms:g}", image)

    def _drawn(self) -> list[_Due]:
        """All requests, one row each of `columns`."""
        order = list(range(len(self._images)))
        self._rng.shuffle(order)
        out: list[_Due] = []
        for after_s, somebody in arrivals(steady(self._plan["rate"]), 1.0, self._rng):
            if after_s >= self._plan["seconds"]:
                return out
            if somebody:
                image, label = self._images[order[len(out) % len(order)]]
                target = self._targets.draw(self._rng)
                out.append(_Due(after_s, self._head(image, target), image, label))
                self.columns.append(target, after_s)
        return out

    def _take(self) -> StampedConnection | None:
        """One to use, the last used first; None where too many are open."""
        if self._free:
            return self._free.pop()
        if len(self._busy) >= self._plan["connections"]:
            return None
        return self._connect()

    def _receive(self, seconds: float) -> None:
        """Take what replies come, for so long at most. `select` has microseconds, epoll has not."""
        ready, _, _ = select.select(list(self._busy), [], [], seconds)
        for connection in ready:
            try:
                reply = connection.receive()
            except ConnectionError:
                del self._busy[connection]
                connection.close()
                continue
            if reply is None:
                continue
            row = self._busy.pop(connection)
            self._free.append(connection)
            columns = self.columns
            columns.status[row] = reply.status
            columns.ms[row] = round((reply.came_ns - connection.sent_ns) / 1e6, 3)
            columns.read_ms[row] = round((time.time_ns() - reply.came_ns) / 1e6, 3)
            self._replies[row] = reply.body

    def _read(self, wanted: Sequence[_Due]) -> None:
        columns = self.columns
        for row, body in self._replies.items():
            if columns.status[row] == 200:
                answer = orjson.loads(body)
                columns.right[row] = int(answer["label"] == wanted[row].label)
                columns.by[row] = answer["served_by"]
            else:
                columns.ms[row] = -1.0


def main() -> None:
    """Run the plan of standard input."""
    with closing(_Client(json.load(sys.stdin))) as client:
        client.run()
    json.dump(vars(client.columns), sys.stdout)


if __name__ == "__main__":
    main()
