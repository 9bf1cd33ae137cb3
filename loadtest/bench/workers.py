"""`--workers 2` against two bare loops on the same cores, interleaved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from hawkvision.cli.processes import Child, stop_all
from loadtest.bench.live import LiveProbe

WORKERS = 2
_WARM_UP_S = 1.0

Load = Callable[[Sequence[str], float], dict[str, Any]]
Bare = Callable[[float], dict[str, Any]]


def bare_together(bare: Bare, seconds: float) -> dict[str, float]:
    """As many bare loops as workers, at once: all images a second, and CPU ms of one."""
    with ThreadPoolExecutor(WORKERS) as threads:
        found = list(threads.map(bare, [seconds] * WORKERS))
    count = sum(one["count"] for one in found)
    return {
        "rate": sum(one["count"] / one["wall_s"] for one in found),
        "cpu_ms": sum(one["cpu_s"] for one in found) / count * 1e3,
    }


def run_workers(
    options: Sequence[str],
    to: tuple[str, Path],
    counts: Sequence[int],
    rounds: int,
    seconds: float,
    run: tuple[Load, Bare],
) -> dict[str, Any]:
    """Rate, CPU and memory of the workers at each number of connections, and beside the bare loops.

    `to` is the path and the image that are asked; `throughput_ratio` is at 8 connections, or at
    the most there are. Memory is what all processes have together, shared pages once.
    """
    load, bare = run
    path, image = to
    pairs: list[dict[str, float]] = []
    found: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    child = Child("edge", [*options, "--workers", str(WORKERS)], echo=False)
    try:
        host, port = child.wait_ready().removeprefix("http://").split(":")
        parent = psutil.Process(child.process.pid)
        family = [parent, *parent.children(recursive=True)]

        def at(count: int, for_s: float) -> dict[str, float]:
            before = _cpu_s(family)
            result = load([host, port, path, str(image), str(count)], for_s)
            cpu_ms = (_cpu_s(family) - before) / result["count"] * 1e3
            return {"rate": result["rate"], "cpu_ms": cpu_ms}

        for count in counts:
            at(count, _WARM_UP_S)
        for _ in range(rounds):
            pairs.append(bare_together(bare, seconds))
            for count in counts:
                found[count].append(at(count, seconds))
        with LiveProbe(host, int(port)) as live:
            at(counts[-1], rounds * seconds)
        rss_mb = sum(one.memory_full_info().pss for one in family) / 2**20
    finally:
        stop_all([child])
    return _summary(pairs, found, rss_mb, live.p99_ms)


def _summary(
    pairs: list[dict[str, float]],
    found: dict[int, list[dict[str, float]]],
    rss_mb: float,
    live_p99_ms: float,
) -> dict[str, Any]:
    bare_rate = median(one["rate"] for one in pairs)
    bare_cpu_ms = median(one["cpu_ms"] for one in pairs)
    rates = {count: median(one["rate"] for one in rounds) for count, rounds in found.items()}
    cpu = {count: median(one["cpu_ms"] for one in rounds) for count, rounds in found.items()}
    ratios = {str(count): rate / bare_rate for count, rate in rates.items()}
    return {
        "workers": WORKERS,
        "rate_bare_workers": bare_rate,
        "cpu_ms_bare_workers": bare_cpu_ms,
        "rate_workers": {str(count): rate for count, rate in rates.items()},
        "throughput_ratios": ratios,
        "throughput_ratio": ratios.get("8", ratios[str(max(rates))]),
        "cpu_ratio_workers": {str(count): one / bare_cpu_ms for count, one in cpu.items()},
        "live_p99_ms_workers": live_p99_ms,
        "rss_mb_workers": rss_mb,
    }


def _cpu_s(family: Sequence[psutil.Process]) -> float:
    times = [one.cpu_times() for one in family]
    return float(sum(one.user + one.system for one in times))
