"""Decode, preprocess, infer, and nothing else: what a request costs without a server.

`python -m loadtest.bench.bare_loop TASK IMAGE SECONDS` prints `{"cpu_s", "wall_s", "count"}`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from hawkvision.images import decode, fit
from hawkvision.repository import Repository, shipped_repository


def main() -> None:
    """Run for the given time after a warm-up."""
    import onnxruntime as ort

    name, image, seconds = sys.argv[1], Path(sys.argv[2]).read_bytes(), float(sys.argv[3])
    rung = Repository(shipped_repository()).open(name).rungs[0]
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(
        str(rung.model.path), options, providers=["CPUExecutionProvider"]
    )
    source = session.get_inputs()[0].name
    side = max(rung.geometry.width, rung.geometry.height)
    nhwc = rung.model.layout == "NHWC"

    def once() -> int:
        pixels = fit(decode(image, min_side=side), rung.geometry)[None]
        x = pixels if nhwc else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
        return int(session.run(None, {source: x})[0].argmax())

    for _ in range(50):
        once()
    count = 0
    start = time.process_time()
    begun = time.perf_counter()
    end = begun + seconds
    while time.perf_counter() < end:
        once()
        count += 1
    wall_s = time.perf_counter() - begun
    print(json.dumps({"cpu_s": time.process_time() - start, "wall_s": wall_s, "count": count}))


if __name__ == "__main__":
    main()
