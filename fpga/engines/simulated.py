"""The engine `fpga-sim`: the generated hardware in cycle-accurate simulation, for serving.

The driver of the board drives a Verilator model of the accelerator with its buses. The network is
the file beside a rung's, `edge.fpga.npz` for `edge.onnx`; building takes a minute or two the first
time and is kept in the cache folder.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import numpy as np

from fpga.board.driver import MAX_BATCH, Accelerator, DriverError
from fpga.board.simulated import SimulatedBoard
from fpga.engines.serving import metadata_of, outputs_of, pictures_of
from fpga.network.files import network_beside
from fpga.network.folding import slowest_layer
from fpga.network.plan import Plan, load_plan
from fpga.network.profiles import milliseconds
from fpga.tools.cache import cache_folder
from fpga.tools.needs import naming_missing_modules
from hawkvision.engines.base import Batch, EngineMetadata, ModelSpec
from hawkvision.errors import EngineError
from hawkvision.tasks import Outputs

_log = logging.getLogger(__name__)


class SimulatedFpga:
    """One design in Verilator, behind the board's driver."""

    def __init__(self, plan: Plan, cache: Path) -> None:
        with naming_missing_modules("the engine 'fpga-sim'"):
            from fpga.tools.axi_simulation import board_library
        self._network = network = plan.network
        library = board_library(plan, cache)
        limit = 10 * (MAX_BATCH + 5) * slowest_layer(plan)
        self._lock = threading.Lock()
        try:
            self._accelerator = Accelerator(SimulatedBoard(library, limit=limit), network.digest)
        except DriverError as error:
            raise EngineError(f"fpga-sim: {error}") from error
        self._measured: dict[str, float] = {}
        self.infer(np.zeros((1, 3, network.side, network.side), np.uint8))
        _log.info(
            "fpga-sim: profile %s, %d cycles for a picture, %.3f ms at the assumed clock",
            plan.profile,
            self._measured["latency_cycles"],
            self._measured["latency_ms"],
        )

    @property
    def metadata(self) -> EngineMetadata:
        """See `hawkvision.engines.base.Engine`."""
        return metadata_of(self._network, "fpga-sim")

    def measured(self) -> dict[str, float]:
        """Cycles of the last batch, as the hardware counts them, and ms at the assumed clock."""
        return self._measured

    def infer(self, batch: Batch) -> Outputs:
        """See `hawkvision.engines.base.Engine`; uint8 only."""
        pictures = pictures_of(batch, self._network, "fpga-sim")
        with self._lock:
            try:
                logits = self._accelerator.classify(pictures)
                found = self._accelerator.measured()
            except DriverError as error:
                raise EngineError(f"fpga-sim: {error}") from error
        self._measured = {
            "latency_cycles": found.latency_cycles,
            "interval_cycles": found.interval_cycles,
            "latency_ms": milliseconds(found.latency_cycles),
        }
        return outputs_of(logits, self._network)

    def close(self) -> None:
        """See `hawkvision.engines.base.Engine`."""
        with self._lock:
            self._accelerator.close()


def open_simulated(spec: ModelSpec, *, threads: int) -> SimulatedFpga:
    """Open the integer network beside `spec.path`. Raises EngineError with the reason."""
    path = network_beside(spec.path)
    if not path.exists():
        raise EngineError(
            f"{spec.path.parent} holds no {path.name}",
            hint="fpga-sim serves rungs that have a plan for hardware; choose tasks by --task.",
        )
    return SimulatedFpga(load_plan(path), cache_folder())
