"""NVIDIA's `trtexec`, where it is on the path: what TensorRT does without any of us."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hawkvision.engines import ModelSpec
from hawkvision.engines.onnx import OnnxEngine
from hawkvision.errors import EngineError

_LATENCY = re.compile(
    r"\] Latency: .*?median = ([\d.]+) ms.*?percentile\(99%\) = ([\d.]+) ms", re.IGNORECASE
)
_RATE = re.compile(r"Throughput: ([\d.]+) qps")
_LIMIT_S = 1800.0


def found() -> str | None:
    """Where it is; JetPack keeps it in /usr/src/tensorrt/bin, which may not be on the path."""
    return shutil.which("trtexec")


def measure(model: Path, batch: int, seconds: float) -> dict[str, Any]:
    """P50, P99 and images a second of one batch size. Raises EngineError with its last error."""
    program = found()
    if program is None:
        raise EngineError("trtexec is not on the path")
    engine = OnnxEngine(ModelSpec(model), device="cpu")
    image = engine.image
    engine.close()
    command = [
        program,
        f"--onnx={model}",
        *([f"--shapes={image.of(batch)}"] if image.free_batch else []),
        f"--duration={max(1, round(seconds))}",
        "--percentile=99",
        "--useCudaGraph",
        "--noTF32",
    ]
    images = batch if image.free_batch else int(image.shape[0])
    output = ""
    for extra in (["--stronglyTyped"], []):  # TensorRT 11 knows no other way, nor the option
        try:
            done = subprocess.run(
                [*command, *extra],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_LIMIT_S,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EngineError(f"trtexec: {error}") from error
        output = done.stdout
        if done.returncode == 0:
            return parse(output, images)
    lines = [line.split("[E]")[-1].strip() for line in output.splitlines() if "[E]" in line]
    raise EngineError(f"trtexec: {(lines or ['it failed and says no reason'])[0][:200]}")


def parse(output: str, images: int) -> dict[str, Any]:
    """Figures of calls with `images` each from what it prints. Raises EngineError."""
    latency, rate = _LATENCY.search(output), _RATE.search(output)
    if latency is None or rate is None:
        raise EngineError("trtexec: no latency in what it printed")
    return {
        "calls": None,
        "p50_ms": float(latency.group(1)),
        "p99_ms": float(latency.group(2)),
        "images_per_s": float(rate.group(1)) * images,
    }
