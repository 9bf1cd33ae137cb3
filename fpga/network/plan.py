"""How a network is built: the folding of its layers, what shares DSP blocks, how deep FIFOs are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from fpga.network.files import read_file, save_network
from fpga.network.layers import Conv
from fpga.network.network import Network
from hawkvision.errors import RepositoryError

Folding = Mapping[str, tuple[int, int]]
"""(PE, SIMD) by the name of a layer; `head` has (PE, 1)."""

SKIP_ROWS = 4
"""Rows that a skip FIFO can have to hold: what both convolutions of a block may keep inside."""


def check_folding(conv: Conv, pe: int, simd: int, packed: int = 0) -> None:
    """Raise ValueError where PE or SIMD does not divide the channels, or more than SIMD share."""
    if pe < 1 or conv.out_channels % pe:
        raise ValueError(f"{conv.name}: PE {pe} does not divide {conv.out_channels} channels")
    if simd < 1 or conv.in_channels % simd:
        raise ValueError(f"{conv.name}: SIMD {simd} does not divide {conv.in_channels} channels")
    if not 0 <= packed <= simd:
        raise ValueError(f"{conv.name}: {packed} of {simd} channels cannot be packed")


@dataclass(frozen=True)
class Plan:
    """A network with the folding of every layer and the depth of every skip FIFO.

    `packed` gives, by the name of a layer, how many of its SIMD input channels are multiplied in
    DSP blocks; `profile` says for what the folding was chosen. Raises ValueError for what cannot be
    built.
    """

    network: Network
    folding: Folding
    skip_depths: Mapping[int, int]
    packed: Mapping[str, int] = field(default_factory=dict)
    profile: str = ""

    def __post_init__(self) -> None:
        network = self.network
        layers = {part.name: part.conv for part in network.convolutions()}
        if set(self.folding) != {*layers, "head"} or not set(self.packed) <= set(layers):
            raise ValueError("it is of a network with other layers")
        if set(self.skip_depths) != set(range(len(network.blocks))):
            raise ValueError(f"{len(self.skip_depths)} FIFOs for {len(network.blocks)} blocks")
        for name, conv in layers.items():
            check_folding(conv, *self.folding[name], self.packed.get(name, 0))
        lanes, _ = self.folding["head"]
        if lanes < 1 or network.classes % lanes:
            raise ValueError(f"head: PE {lanes} does not divide {network.classes} classes")
        if min(self.skip_depths.values(), default=1) < 1:
            raise ValueError("a FIFO holds nothing")

    def with_depths(self, depths: Mapping[int, int]) -> Plan:
        """The same with other FIFOs."""
        return replace(self, skip_depths=dict(depths))


def generous_skip_depths(network: Network) -> dict[int, int]:
    """Depths in values, by the index of the block, that hold all that a block can keep inside.

    Where simulations begin that find out what is needed.
    """
    found = {}
    for stage in network.stages():
        side = stage.side if stage.skip is None else stage.out_side
        found[stage.index] = SKIP_ROWS * side * stage.block.second.out_channels
    return found


def save_plan(plan: Plan, path: Path) -> None:
    """Write network and plan into one `.npz`."""
    save_network(
        plan.network,
        path,
        plan={
            "folding": {name: list(pair) for name, pair in plan.folding.items()},
            "skip_depths": [plan.skip_depths[index] for index in range(len(plan.skip_depths))],
            "packed": dict(plan.packed),
            "profile": plan.profile,
        },
    )


def load_plan(path: Path) -> Plan:
    """Read what `save_plan` wrote. Raises RepositoryError."""
    network, kept = read_file(path)
    if kept is None:
        raise RepositoryError(
            f"{path.name} holds a network without a plan",
            hint="`hawkvision fpga compile` makes one.",
        )
    try:
        folding = {str(name): (int(pe), int(simd)) for name, (pe, simd) in kept["folding"].items()}
        depths = {index: int(depth) for index, depth in enumerate(kept["skip_depths"])}
        packed = {str(name): int(columns) for name, columns in kept["packed"].items()}
        return Plan(network, folding, depths, packed, str(kept["profile"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RepositoryError(f"{path.name}: the plan is damaged: {error}") from error
