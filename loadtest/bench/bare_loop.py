"""Decode, preprocess, infer, and nothing else: what a request costs without a server.

`python -m loadtest.bench.bare_loop TASK IMAGE SECONDS` prints `{"cpu_s", "wall_s", "count",
"label"}`; the last is what the network says of the image.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from loadtest.peers.work import Work


def main() -> None:
    """Run for the given time after a warm-up."""
    name, image, seconds = sys.argv[1], Path(sys.argv[2]).read_bytes(), float(sys.argv[3])
    work = Work(name)
    for _ in range(50):
        work.best(image)
    count = 0
    start = time.process_time()
    begun = time.perf_counter()
    end = begun + seconds
    while time.perf_counter() < end:
        work.best(image)
        count += 1
    wall_s = time.perf_counter() - begun
    cpu_s = time.process_time() - start
    label = work.answer(image)["label"]
    print(json.dumps({"cpu_s": cpu_s, "wall_s": wall_s, "count": count, "label": label}))


if __name__ == "__main__":
    main()
