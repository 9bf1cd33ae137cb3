"""What a design does, measured: bits and cycles in Verilator, size by yosys, accuracy in numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fpga.board import registers
from fpga.board.driver import DriverError, Pictures
from fpga.board.simulated import SimulatedBoard
from fpga.network.folding import cycles, slowest_layer
from fpga.network.network import Network
from fpga.network.plan import Plan
from fpga.network.profiles import milliseconds
from fpga.tools.axi_simulation import board_library
from fpga.tools.fifos import pictures_for
from fpga.tools.sizing import XC7Z020, Size, synthesize_plan, yosys_version
from hawkvision.datasets import LabelledSet
from hawkvision.errors import EngineError
from hawkvision.images import InputGeometry, decode, fit

_BATCH = 128
RESOURCES = ("lut", "ff", "dsp", "bram36")


def simulate(
    plan: Plan, cache: Path, *, pictures: Pictures | None, images: int, stalls: int, seed: int
) -> dict[str, Any]:
    """Run pictures back to back through the accelerator's buses, then again with stalls.

    `pictures` uint8 [N,side,side,3], None draws `images` random ones; `stalls` in percent of the
    cycles of both streams. `latency_cycles` are the hardware's own count for a picture alone, from
    its first word in to its last logit out; `interval_cycles` the longest of the first run's.
    """
    network = plan.network
    found = pictures_for(network, images, seed) if pictures is None else pictures[:images]
    expected = network(found)
    library = board_library(plan, cache)
    limit = 10 * (len(found) + 5) * slowest_layer(plan)
    board = SimulatedBoard(library, limit=limit)
    result: dict[str, Any] = {"profile": plan.profile, "images": len(found), "stalls": stalls}
    result["pictures"] = "random" if pictures is None else "photos"
    try:
        board.exchange(found[:1], network.classes)
        result["latency_cycles"] = board.read(registers.LATENCY)
        result["latency_ms"] = milliseconds(result["latency_cycles"])
        board.write(registers.CONTROL, registers.RESET)
        result["bit_exact_images"] = _exact(board, found, expected)
        result["interval_cycles"] = board.read(registers.INTERVAL)
        board.stall_in = board.stall_out = stalls
        result["bit_exact_images_stalled"] = _exact(board, found, expected)
    except DriverError as error:
        raise EngineError(f"simulation: {error}") from error
    finally:
        board.close()
    return result


def _exact(board: SimulatedBoard, pictures: Pictures, expected: npt.NDArray[np.int64]) -> int:
    """Pictures all of whose logits are right, sent as one packet."""
    logits = board.exchange(pictures, expected.size).reshape(expected.shape)
    return int((logits == expected).all(axis=1).sum())


@dataclass(frozen=True)
class Sized:
    """Each part of a design and their sum, in an xc7z020."""

    parts: dict[str, Size]
    tool: str

    @property
    def total(self) -> Size:
        """All parts."""
        return sum(self.parts.values(), Size())

    @property
    def shares(self) -> dict[str, float]:
        """Of the chip, by resource."""
        return {name: getattr(self.total, name) / getattr(XC7Z020, name) for name in RESOURCES}


def size(plan: Plan, cache: Path, done: Callable[[str], None] = lambda _name: None) -> Sized:
    """Synthesize every part on its own. Raises EngineError."""
    return Sized(synthesize_plan(plan, cache / "sizes", done), yosys_version())


def layer_rows(plan: Plan, sized: Sized) -> list[dict[str, Any]]:
    """One row for each part: of layers MACs, bits, folding and cycles, of all what they take."""
    network = plan.network
    layers = {part.name: part for part in network.convolutions()}
    rows = []
    for name, taken in sized.parts.items():
        row: dict[str, Any] = {"part": name}
        if name in layers:
            conv, side = layers[name].conv, layers[name].side
            pe, simd = plan.folding[name]
            row |= {
                "macs": conv.macs(side),
                "weight_bits": conv.weight_bits,
                "in_bits": conv.in_bits,
                "pe": pe,
                "simd": simd,
                "packed": plan.packed.get(name, 0),
                "cycles": cycles(conv, side, pe, simd),
                "values_in": conv.in_channels * side * side,
            }
        rows.append(row | {key: getattr(taken, key) for key in RESOURCES})
    return rows


def accuracy(
    network: Network,
    images: LabelledSet,
    truth_of: Callable[[str], int],
    done: Callable[[int], None] = lambda _count: None,
) -> float:
    """Share of the photos that the integer network answers rightly, decoded as the agent does."""
    right = 0
    for pictures, truth in prepared(network, images, truth_of):
        right += int((network(pictures).argmax(axis=1) == truth).sum())
        done(len(truth))
    return right / len(images)


def prepared(
    network: Network, images: LabelledSet, truth_of: Callable[[str], int]
) -> list[tuple[Pictures, npt.NDArray[np.int64]]]:
    """Batches of pictures uint8 [N,side,side,3] and their classes."""
    side = network.side
    geometry = InputGeometry(side, side, "stretch")
    pictures = [fit(decode(image.data, min_side=side), geometry) for image in images]
    truth = np.array([truth_of(image.label) for image in images], np.int64)
    return [
        (np.stack(pictures[start : start + _BATCH]), truth[start : start + _BATCH])
        for start in range(0, len(pictures), _BATCH)
    ]
