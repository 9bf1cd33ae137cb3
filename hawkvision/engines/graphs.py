"""ONNX Runtime with CUDA graphs: fixed buffers on the device, one graph for each batch size.

A replayed graph reads the buffers that it was captured with and nothing of what `run` is given, so
inputs and outputs are bound, once for a batch size, and one batch runs at a time. Source:
onnxruntime.ai, "CUDA Execution Provider", "Using CUDA Graphs".
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hawkvision.engines.base import Batch

MOST_GRAPHS = 32
"""Batch sizes with a graph of their own; other sizes run without one."""


@dataclass
class _Bound:
    binding: Any
    image: Any
    outputs: list[Any]


class GraphRuns:
    """`run` may be called from several threads; they take turns."""

    def __init__(self, ort: Any, session: Any, outputs: Sequence[str], device: str) -> None:
        """`device` as ONNX Runtime names it, `cuda`."""
        self._ort, self._session, self._outputs = ort, session, list(outputs)
        self._device = device
        self._input: str = session.get_inputs()[0].name
        self._bound: dict[int, _Bound] = {}
        self._lock = threading.Lock()

    def run(self, x: Batch) -> list[Any]:
        """A contiguous batch to copies of the outputs, in the order of their names."""
        with self._lock:
            bound = self._bound.get(len(x))
            if bound is None:
                found = self._session.run(self._outputs, {self._input: x}, self._how(-1))
                if len(self._bound) < MOST_GRAPHS:
                    self._bound[len(x)] = self._bind(x, found)
                return list(found)
            bound.image.update_inplace(x)
            self._session.run_with_iobinding(bound.binding, self._how(len(x)))
            return [np.array(out.numpy()) for out in bound.outputs]

    def _how(self, graph: int) -> Any:
        """Run options; -1 neither captures nor replays."""
        options = self._ort.RunOptions()
        options.add_run_config_entry("gpu_graph_id", str(graph))
        return options

    def _bind(self, x: Batch, found: Sequence[Any]) -> _Bound:
        place = (self._device, 0)
        made = self._ort.OrtValue.ortvalue_from_numpy
        image = made(np.array(x), *place)  # on the CPU a value is the array itself
        outputs = [made(np.array(out), *place) for out in found]
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(self._input, image)
        for name, out in zip(self._outputs, outputs, strict=True):
            binding.bind_ortvalue_output(name, out)
        return _Bound(binding, image, outputs)
