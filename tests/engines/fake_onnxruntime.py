"""ONNX Runtime as it is where GPUs are: other providers than the CPU, computed on the CPU.

`Fake(present)` is the module; `refuses` says by provider what happens: `library` (its libraries do
not load, so a session silently has only what is behind it), `file` (creating a session fails),
`nodes` (it takes none), `run` (it fails when it runs).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"


class Fake:
    """Stands for the module; `opened` are the providers, with their options, of each session."""

    __version__ = "1.31.1"
    __spec__ = onnxruntime.__spec__
    SessionOptions = onnxruntime.SessionOptions
    RunOptions = onnxruntime.RunOptions
    GraphOptimizationLevel = onnxruntime.GraphOptimizationLevel

    def __init__(
        self, present: Sequence[str], refuses: Mapping[str, str] | None = None, nodes: Any = None
    ) -> None:
        self._present, self.refuses = list(present), dict(refuses or {})
        self.nodes = nodes
        self.opened: list[list[tuple[str, dict[str, str]]]] = []
        self.OrtValue = SimpleNamespace(ortvalue_from_numpy=_on_device)

    def get_available_providers(self) -> list[str]:
        return self._present

    def InferenceSession(  # noqa: N802 - as ONNX Runtime names it
        self, path: str, options: Any, providers: Any, enable_fallback: int
    ) -> Any:
        assert enable_fallback == 0, "ONNX Runtime must not fall back in silence"
        wanted = [(one, {}) if isinstance(one, str) else one for one in providers]
        first = wanted[0][0]
        if first != CPU:
            self.opened.append(wanted)
        if self.refuses.get(first) == "file":
            raise RuntimeError(f"\n{first}: node 3 is not for us\nand much more")
        names = [name for name, _ in wanted]
        if self.refuses.get(first) == "library":
            names = names[1:] or [CPU]
        return _Session(self, path, options, names)


def _on_device(array: Any, device: str, number: int) -> Any:
    assert device == "cuda"
    return onnxruntime.OrtValue.ortvalue_from_numpy(array, "cpu", number)


class _Session:
    def __init__(self, fake: Fake, path: str, options: Any, names: list[str]) -> None:
        self._fake, self._names = fake, names
        self._real = onnxruntime.InferenceSession(path, options, providers=[CPU])
        self._graphs: dict[str, np.ndarray] = {}
        self.fallback = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def get_providers(self) -> list[str]:
        return self._names

    def disable_fallback(self) -> None:
        self.fallback = False

    def get_provider_graph_assignment_info(self) -> list[Any]:
        counts = self._fake.nodes or {self._names[0]: 5}
        if self._fake.refuses.get(self._names[0]) == "nodes":
            counts = {CPU: 5}
        return [
            SimpleNamespace(ep_name=name, get_nodes=lambda count=count: [0] * count)
            for name, count in counts.items()
        ]

    def run(self, outputs: Any, feeds: Any, options: Any = None) -> Any:
        assert not self.fallback, "ONNX Runtime would fall back in silence while it serves"
        if self._fake.refuses.get(self._names[0]) == "run":
            raise RuntimeError("out of memory")
        return self._real.run(outputs, feeds)
