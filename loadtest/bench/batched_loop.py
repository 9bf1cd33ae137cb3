"""Decode a batch, run it through ONNX Runtime, and nothing else: what a gateway could reach.

`python -m loadtest.bench.batched_loop TASK IMAGE BATCH THREADS SECONDS` prints
`{"rate", "cpu_ms"}`: images a second, and processor time for each, of that many threads with the
task's largest rung.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

from hawkvision.repository import Repository, shipped_repository
from hawkvision.rungs import LoadedRung


def main() -> None:
    """Run for the given time after a warm-up."""
    name, image = sys.argv[1], Path(sys.argv[2]).read_bytes()
    batch, threads, seconds = int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
    task = Repository(shipped_repository()).open(name)
    rung = LoadedRung.open(task.rungs[-1], task.kind, engine="onnx-cpu")
    counts = [0] * threads

    def work(index: int, end: float) -> None:
        while time.perf_counter() < end:
            rung.outputs([rung.prepare(image) for _ in range(batch)])
            counts[index] += batch

    work(0, time.perf_counter() + 0.5)
    counts = [0] * threads
    start, used = time.perf_counter(), time.process_time()
    running = [
        threading.Thread(target=work, args=(index, start + seconds)) for index in range(threads)
    ]
    for one in running:
        one.start()
    for one in running:
        one.join()
    images = sum(counts)
    cpu_ms = (time.process_time() - used) / images * 1e3
    print(json.dumps({"rate": images / (time.perf_counter() - start), "cpu_ms": cpu_ms}))


if __name__ == "__main__":
    main()
