"""The engine `fpga-sim`: the generated hardware in cycle-accurate simulation, for serving.

It runs the integer network beside a rung's file, `edge.fpga.npz` for `edge.onnx`. Building takes a
minute or two the first time and is kept in the cache folder.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import numpy as np

from fpga.network import Network, load_network
from hawkvision.engines.base import Batch, EngineMetadata, Logits, ModelSpec
from hawkvision.errors import EngineError

_log = logging.getLogger(__name__)
_PROFILE = "HAWKVISION_FPGA_PROFILE"
_LIMIT = 40


def cache_folder() -> Path:
    """Where builds are kept (XDG base directories)."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "hawkvision" / "fpga"


def network_beside(path: Path) -> Path:
    """The integer network of a rung's file."""
    return path.with_name(f"{path.stem}.fpga.npz")


class SimulatedFpga:
    """One design in Verilator. `latency` and `interval` are in cycles, of the last batch."""

    def __init__(self, network: Network, profile: str) -> None:
        try:
            from fpga.generate import NetworkUnit
            from fpga.profiles import plan_for
            from fpga.simulate import Simulation
        except ImportError as error:
            raise EngineError(
                "the engine 'fpga-sim' needs Amaranth", hint="pip install 'hawkvision[fpga]'"
            ) from error
        self._network = network
        plan = plan_for(network, profile)
        self._simulation = Simulation(NetworkUnit(plan), cache=cache_folder())
        self._lock = threading.Lock()
        self.latency = self.interval = 0
        blank = np.zeros((1, 3, network.side, network.side), np.uint8)
        self.infer(blank)
        _log.info("fpga-sim: %d cycles for a picture", self.latency)

    @property
    def metadata(self) -> EngineMetadata:
        """See `hawkvision.engines.base.Engine`."""
        network = self._network
        shape = (3, network.side, network.side)
        return EngineMetadata(shape, "uint8", network.classes, "fpga-sim", "int4")

    def infer(self, batch: Batch) -> Logits:
        """See `hawkvision.engines.base.Engine`; uint8 only."""
        network = self._network
        if batch.dtype != np.uint8 or batch.shape[1:] != (3, network.side, network.side):
            raise EngineError(
                f"fpga-sim takes uint8 [N,3,{network.side},{network.side}], "
                f"not {batch.dtype} {list(batch.shape)}"
            )
        pictures = batch.transpose(0, 2, 3, 1).astype(np.uint8)
        count = len(pictures) * network.classes
        with self._lock:
            run = self._simulation.run(pictures, count, limit=_limit(network, len(pictures)))
        leaving = run.given_at[network.classes - 1 :: network.classes]
        self.latency = int(leaving[0] - run.taken_at[0])
        if len(leaving) > 1:
            self.interval = int(np.diff(leaving).max())
        logits = run.outputs.reshape(-1, network.classes) * network.head.scale
        return np.asarray(logits, np.float32)

    def close(self) -> None:
        """See `hawkvision.engines.base.Engine`."""


def _limit(network: Network, pictures: int) -> int:
    """Cycles after which a run is given up: many times what any profile takes."""
    slowest = max(conv.macs(side) for conv, side in network.convolutions())
    return _LIMIT * (pictures + 2) * max(slowest // 16, 10_000)


def open_simulated(spec: ModelSpec, *, threads: int) -> SimulatedFpga:
    """Open the integer network beside `spec.path`. Raises EngineError with the reason."""
    path = network_beside(spec.path)
    if not path.exists():
        raise EngineError(
            f"{spec.path.parent} holds no {path.name}",
            hint="The engine 'fpga-sim' serves rungs that have an integer network.",
        )
    return SimulatedFpga(load_network(path), os.environ.get(_PROFILE, "accurate"))
