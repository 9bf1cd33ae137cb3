"""An integer network in one `.npz`, with a plan to build it or without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from fpga.network.layers import Block, Conv, Head, Requant
from fpga.network.network import Network
from hawkvision.errors import EngineError, RepositoryError


def network_beside(path: Path) -> Path:
    """Where the integer network of a rung's file lies: `edge.fpga.npz` beside `edge.onnx`."""
    return path.with_name(f"{path.stem}.fpga.npz")


def save_network(network: Network, path: Path, *, plan: dict[str, Any] | None = None) -> None:
    """Write a `.npz` without pickles: arrays, and as JSON the structure and a plan to build it."""
    arrays: dict[str, npt.NDArray[np.generic]] = {}

    def requant(name: str, value: Requant) -> dict[str, object]:
        arrays[f"{name}/multiplier"] = value.multiplier
        arrays[f"{name}/bias"] = value.bias
        return {"shift": value.shift, "bits": value.bits, "signed": value.signed}

    def conv(value: Conv) -> dict[str, object]:
        arrays[f"{value.name}/weights"] = value.weights
        return {
            "name": value.name,
            "weight_bits": value.weight_bits,
            "stride": value.stride,
            "in_bits": value.in_bits,
            "in_signed": value.in_signed,
            "requant": requant(value.name, value.requant),
        }

    structure = {
        "name": network.name,
        "side": network.side,
        "stem": conv(network.stem),
        "blocks": [
            {
                "entry": requant(f"entry{index}", block.entry),
                "first": conv(block.first),
                "second": conv(block.second),
                "skip": None if block.skip is None else conv(block.skip),
            }
            for index, block in enumerate(network.blocks)
        ],
        "scale": network.head.scale,
        "plan": plan,
    }
    arrays["head/weights"], arrays["head/bias"] = network.head.weights, network.head.bias
    text = np.frombuffer(json.dumps(structure).encode(), np.uint8)
    np.savez_compressed(path, structure=text, **arrays)  # type: ignore[arg-type]


def load_network(path: Path) -> Network:
    """Read what `save_network` wrote. Raises RepositoryError for a damaged file."""
    return read_file(path)[0]


def read_file(path: Path) -> tuple[Network, dict[str, Any] | None]:
    """Network and plan of a file, the plan as it was written. Raises RepositoryError."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        structure = json.loads(arrays["structure"].tobytes())
        return _network(structure, arrays), structure.get("plan")
    except (OSError, KeyError, ValueError, TypeError, EngineError, BadZipFile) as error:
        raise RepositoryError(f"{path.name} is not an integer network: {error}") from error


def _network(structure: dict[str, Any], arrays: dict[str, Any]) -> Network:
    def requant(name: str, value: dict[str, Any]) -> Requant:
        multiplier, bias = arrays[f"{name}/multiplier"], arrays[f"{name}/bias"]
        return Requant(multiplier, bias, value["shift"], value["bits"], value["signed"])

    def conv(value: dict[str, Any]) -> Conv:
        return Conv(
            value["name"],
            arrays[f"{value['name']}/weights"],
            value["weight_bits"],
            value["stride"],
            value["in_bits"],
            value["in_signed"],
            requant(value["name"], value["requant"]),
        )

    blocks = tuple(
        Block(
            requant(f"entry{index}", block["entry"]),
            conv(block["first"]),
            conv(block["second"]),
            None if block["skip"] is None else conv(block["skip"]),
        )
        for index, block in enumerate(structure["blocks"])
    )
    head = Head(arrays["head/weights"], arrays["head/bias"], float(structure["scale"]))
    return Network(structure["name"], structure["side"], conv(structure["stem"]), blocks, head)
