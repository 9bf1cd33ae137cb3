"""Where a request's CPU time goes: an agent in this process, sampled while it is loaded.

`python -m loadtest.bench.profile [--connections 8] [--seconds 8] [--speedscope FILE]` prints
microseconds a request by part, beside those of the bare loop, which runs in turn with it in the
same process, and writes a flame graph for https://www.speedscope.app (which reads the file in the
browser). SIGPROF comes with CPU time, at every tick of the kernel's clock (1 to 10 ms), so time in
a library counts for the line that called it. One thread: the event loop does everything.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.table import Table

from edge_agent.agent import Agent
from edge_agent.config import EdgeConfig
from edge_agent.loading import load_tasks
from hawkvision.cli.output import screen, write_json
from hawkvision.serving.event_loop import new_event_loop
from loadtest.bench.server import bench_image, local_path
from loadtest.peers.work import Work

Stack = tuple[str, ...]
"""From the outermost call: `file.py:function`, files as they are imported."""

_EVERY_S = 0.001
_WARM_UP_S = 1.5
_ROUNDS = 4
"""So many turns each of the agent and the bare loop have."""

_POOL = ("admission", "fair_queue", "job", "lane", "pace", "pool", "promises")
_NETWORK, _FIT, _DECODE = "network (ONNX Runtime)", "fit to the network's size", "decode"
Parts = tuple[tuple[str, tuple[str, ...]], ...]
PARTS: Parts = (
    (_NETWORK, ("hawkvision/rungs.py:outputs",)),
    ("softmax and prediction", ("hawkvision/rungs.py:predict",)),
    (_FIT, ("hawkvision/images/geometry.py:fit",)),
    (_DECODE, ("hawkvision/rungs.py:prepare",)),
    (
        "counting, audits, receipt",
        (
            "edge_agent/fleet/fleet.py:answered",
            "hawkvision/tracking/store/delivery.py:",
            "hawkvision/tracking/store/memory.py:",
            "edge_agent/fleet/fleet.py:",
        ),
    ),
    ("metrics", ("edge_agent/metrics.py:",)),
    (
        "answer and its JSON",
        (
            "edge_agent/classify.py:reply",
            "hawkvision/serving/http/replies.py:",
            "hawkvision/contract/answer.py:",
        ),
    ),
    (
        "parameters and threshold",
        ("edge_agent/parameters.py:", "edge_agent/classify.py:resolve", "edge_agent/http/auth.py:"),
    ),
    ("body", ("hawkvision/serving/http/bodies.py:",)),
    (
        "reply to the socket",
        ("hawkvision/serving/http/connection.py:says", "aiohttp/web_protocol.py:finish_response"),
    ),
    ("rest of the fast path", ("edge_agent/http/fast_path.py:",)),
    ("pool", tuple(f"hawkvision/serving/{name}.py:" for name in _POOL)),
    ("request from the socket (aiohttp)", ("hawkvision/serving/http/connection.py:data_received",)),
    (
        "rest of HTTP (aiohttp, routes)",
        ("aiohttp/", "edge_agent/http/", "hawkvision/serving/http/"),
    ),
)
"""A sample counts for the first part of which its stack has a call."""

BARE_PARTS: Parts = (
    (_FIT, ("hawkvision/images/geometry.py:fit",)),
    (_DECODE, ("loadtest/peers/work.py:pixels",)),
    (_NETWORK, ("loadtest/peers/work.py:best",)),
)
"""The same of the bare loop."""

_REST = "event loop, and what no request asks for"


class Sampler:
    """Notes the main thread's stack at every tick of CPU time."""

    def __init__(self) -> None:
        self.stacks: Counter[Stack] = Counter()

    def start(self) -> None:
        """From now on."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, _EVERY_S, _EVERY_S)

    def stop(self) -> None:
        """No more."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, signal.SIG_IGN)

    def _sample(self, _signal: int, frame: FrameType | None) -> None:
        stack: list[str] = []
        while frame is not None:
            stack.append(f"{_short(frame.f_code.co_filename)}:{frame.f_code.co_name}")
            frame = frame.f_back
        self.stacks[tuple(reversed(stack))] += 1


def _short(file: str) -> str:
    for mark in ("/site-packages/", "/edge_agent/", "/hawkvision/", "/loadtest/"):
        at = file.rfind(mark)
        if at >= 0:
            return file[at + 1 :].removeprefix("site-packages/")
    return file.rsplit("/", 1)[-1]


def part_of(stack: Stack, parts: Parts = PARTS) -> str:
    """Which of the parts a sample belongs to."""
    for name, calls in parts:
        if any(frame.startswith(call) for frame in stack for call in calls):
            return name
    return _REST


def by_part(stacks: Counter[Stack], parts: Parts = PARTS) -> dict[str, float]:
    """Share of the samples by part, in the order of `parts`; they add up to 1."""
    found: Counter[str] = Counter()
    for stack, count in stacks.items():
        found[part_of(stack, parts)] += count
    total = max(1, stacks.total())
    return {name: found[name] / total for name in (*(name for name, _ in parts), _REST)}


def speedscope(stacks: Counter[Stack], name: str) -> dict[str, Any]:
    """The samples as https://www.speedscope.app/file-format-schema.json has them."""
    frames: dict[str, int] = {}
    samples = [
        [frames.setdefault(frame, len(frames)) for frame in stack] for stack in sorted(stacks)
    ]
    return {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "shared": {"frames": [{"name": frame} for frame in frames]},
        "profiles": [
            {
                "type": "sampled",
                "name": name,
                "unit": "none",
                "startValue": 0,
                "endValue": stacks.total(),
                "samples": samples,
                "weights": [stacks[stack] for stack in sorted(stacks)],
            }
        ],
    }


class Profile:
    """Samples of turns of the same work, and the CPU time that they took."""

    def __init__(self) -> None:
        self.sampler = Sampler()
        self._cpu_s, self._count = 0.0, 0

    async def turn(self, work: Callable[[], Awaitable[int]]) -> None:
        """Sample one turn, which says how many images it did."""
        before = time.process_time()
        self.sampler.start()
        try:
            self._count += await work()
        finally:
            self.sampler.stop()
        self._cpu_s += time.process_time() - before

    @property
    def cpu_ms(self) -> float:
        """Of one image."""
        return self._cpu_s / max(1, self._count) * 1e3


async def profile(task: str, connections: int, seconds: float) -> tuple[Profile, Profile]:
    """An agent and the bare loop, each for `seconds` in all."""
    config = EdgeConfig(port=0, gateways=("127.0.0.1:1",), tasks=(task,), threads=1, rtp_port=0)
    agent = Agent(config, load_tasks(config))
    port = await agent.start()
    loaded, bare = Profile(), Profile()
    data, work, turn_s = bench_image(task), Work(task), seconds / _ROUNDS

    async def no_server() -> int:
        count, end = 0, time.perf_counter() + turn_s
        while time.perf_counter() < end:
            work.best(data)
            count += 1
        return count

    try:
        with tempfile.TemporaryDirectory() as folder:
            image = Path(folder) / "image.jpg"
            image.write_bytes(data)
            to = (config.host, str(port), local_path(task), str(image), str(connections))
            await _load(to, _WARM_UP_S)
            for _ in range(_ROUNDS):
                await bare.turn(no_server)
                await loaded.turn(lambda: _load(to, turn_s))
        return loaded, bare
    finally:
        await agent.close()


async def _load(to: tuple[str, ...], seconds: float) -> int:
    """How many requests were answered."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "loadtest.bench.closed_loop",
        *to,
        str(seconds),
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await child.communicate()
    if child.returncode:
        raise click.ClickException("the load ended with an error")
    return int(json.loads(told)["count"])


@click.command(context_settings={"show_default": True})
@click.option("--task", default="imagenette")
@click.option("--connections", type=click.IntRange(1, 256), default=8)
@click.option("--seconds", type=click.FloatRange(0.2, 300), default=8.0)
@click.option("--speedscope", "flames", type=click.Path(path_type=Path), help="A flame graph.")
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def main(
    task: str, connections: int, seconds: float, flames: Path | None, json_file: Path | None
) -> None:
    """See the module."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        loaded, bare = runner.run(profile(task, connections, seconds))
    stacks, cpu_ms = loaded.sampler.stacks, loaded.cpu_ms
    shares, bare_shares = by_part(stacks), by_part(bare.sampler.stacks, BARE_PARTS)
    title = f"{task}, {connections} connections"
    table = Table("part", "share", "µs a request", "µs in the bare loop", title=title)
    for name, share in shares.items():
        of_bare = bare_shares.get(name)
        beside = "" if of_bare is None else f"{of_bare * bare.cpu_ms * 1e3:.0f}"
        table.add_row(name, f"{share:.1%}", f"{share * cpu_ms * 1e3:.0f}", beside)
    table.add_row("all", "", f"{cpu_ms * 1e3:.0f}", f"{bare.cpu_ms * 1e3:.0f}")
    screen().print(table)
    if flames is not None:
        flames.write_text(json.dumps(speedscope(stacks, title)))
    beside_it = {"cpu_ms": bare.cpu_ms, "shares": bare_shares}
    found = {"cpu_ms": cpu_ms, "samples": stacks.total(), "shares": shares, "bare": beside_it}
    write_json(json_file, found)


if __name__ == "__main__":
    main()
