"""What a model costs: time per image on one thread, and memory, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from hawkvision.engines import ModelSpec, open_engine
from hawkvision.errors import EngineError
from hawkvision.images import InputGeometry

_RUNS = 120
_LONGEST_S = 4.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Median and 99th percentile in ms for one image on one thread; resident memory in MB."""

    milliseconds: float
    p99_milliseconds: float
    memory_mb: float


def measure_cost(spec: ModelSpec, geometry: InputGeometry, engine: str = "onnx") -> Cost:
    """Load and run the model in a fresh process. Raises EngineError."""
    question = json.dumps(
        {
            **asdict(spec),
            "path": str(spec.path),
            "size": [geometry.height, geometry.width],
            "engine": engine,
        }
    )
    run = subprocess.run(
        [sys.executable, "-m", "hawkvision.taskbuild.cost"],
        input=question,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        reason = (run.stderr.strip() or "no message").splitlines()[-1]
        raise EngineError(f"{spec.path.name} could not be measured: {reason}")
    return Cost(**json.loads(run.stdout))


def _resident_mb() -> float:
    """Resident memory of this process in MB (proc(5), statm); 0 where there is no procfs."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * 4096 / 1e6 if statm.exists() else 0.0


def _measure(spec: ModelSpec, height: int, width: int, name: str) -> Cost:
    with contextlib.suppress(ImportError):  # its own memory is not the model's
        import onnxruntime  # noqa: F401
    image = np.random.default_rng(0).integers(0, 255, (1, height, width, 3), np.uint8)
    before = _resident_mb()
    engine = open_engine(spec, name=name, threads=1)
    times: list[float] = []
    end = time.perf_counter() + _LONGEST_S
    while len(times) < _RUNS and (len(times) < 10 or time.perf_counter() < end):
        start = time.perf_counter()
        engine.infer(image.transpose(0, 3, 1, 2))
        times.append(time.perf_counter() - start)
    warm = np.array(times[2:]) * 1e3
    return Cost(
        round(float(np.median(warm)), 3),
        round(float(np.percentile(warm, 99)), 3),
        round(_resident_mb() - before, 1),
    )


def _main() -> None:
    given = json.load(sys.stdin)
    height, width = given.pop("size")
    name = given.pop("engine")
    for key in ("mean", "std", "outputs"):
        given[key] = tuple(given[key])
    spec = replace(ModelSpec(Path(given.pop("path"))), **given)
    json.dump(asdict(_measure(spec, height, width, name)), sys.stdout)


if __name__ == "__main__":
    _main()
