"""A second kind of task, for tests: how many dots an image shows. It shares nothing with classes.

The answer is a number, a network has two outputs, and the loss is the absolute error, bounded: any
value in [0, 1]. `kind = "counting"` in a task.toml finds it through its entry point; see `plugin`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import simplejpeg
from onnx import TensorProto, helper, numpy_helper

from hawkvision.datasets import LabelledImage, LabelledSet, in_memory
from hawkvision.errors import CalibrationError, DatasetError, EngineError, InvalidRequest
from hawkvision.tasks import ModelOutputs, Outputs, Placement, Plan, TensorSpec

SIDE = 32
MOST = 12
ROOT = Path(__file__).resolve().parents[2]
_BRIEF = struct.Struct(">d")


@dataclass(frozen=True, slots=True)
class Count:
    """How many, and one minus the expected loss."""

    number: float
    confidence: float


@dataclass(frozen=True, slots=True)
class CountHead:
    """Confidence is 1 - `scale` * the network's spread."""

    scale: float = 0.1


class Counting:
    """The absolute error of a count, in units of `tolerated`, at most 1."""

    name = "counting"
    binary = False
    labels: tuple[str, ...] = ()
    aliases: Mapping[str, str] = {}
    tensors = (TensorSpec("count", "FP32", (1,)), TensorSpec("confidence", "FP32", (1,)))

    def __init__(self, tolerated: float = 6.0) -> None:
        self.tolerated = tolerated

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> Counting:
        return cls(float(table.get("tolerated", 6.0)))

    def as_table(self) -> dict[str, Any]:
        return {"tolerated": self.tolerated}

    def parse_head(self, table: Mapping[str, Any]) -> CountHead:
        return CountHead(float(table["scale"]))

    def head_table(self, head: CountHead) -> dict[str, Any]:
        return {"scale": head.scale}

    def outputs_read(self, head: CountHead) -> tuple[str, ...]:
        return ("count", "spread")

    def read(
        self, outputs: Outputs, head: CountHead, placements: Sequence[Placement]
    ) -> list[Count]:
        numbers, spread = outputs["count"].reshape(-1), outputs["spread"].reshape(-1)
        if not (np.isfinite(numbers).all() and np.isfinite(spread).all()):
            raise EngineError("the network counts NaN")
        sure = np.clip(1 - head.scale * spread, 0, 1)
        return [Count(float(n), float(c)) for n, c in zip(numbers, sure, strict=True)]

    def encode(self, predictions: Sequence[Count]) -> Outputs:
        rows = np.array([[one.number, one.confidence] for one in predictions], np.float32)
        return {"count": rows[:, :1], "confidence": rows[:, 1:]}

    def decode(self, outputs: Outputs) -> list[Count]:
        if not {"count", "confidence"} <= set(outputs):
            raise ValueError("no count")
        rows = np.concatenate([outputs["count"], outputs["confidence"]], axis=1)
        if not np.isfinite(rows).all():
            raise ValueError("NaN")
        return [Count(float(number), float(sure)) for number, sure in rows]

    def as_dict(self, prediction: Count, top_k: int) -> dict[str, Any]:
        return {"count": prediction.number, "confidence": prediction.confidence}

    def parse_answer(self, body: Mapping[str, Any]) -> Count:
        return Count(float(body["count"]), float(body["confidence"]))

    def truth(self, label: str) -> float:
        try:
            return float(int(label))
        except ValueError as error:
            raise DatasetError(f"{label!r} is no number") from error

    def parse_feedback(self, body: Mapping[str, Any]) -> float:
        count = body.get("count")
        if not isinstance(count, int | float) or not 0 <= count <= 1e6:
            raise InvalidRequest("give the count", hint='{"request_id": …, "count": 3}')
        return float(count)

    def _loss(self, number: float, truth: float) -> float:
        return min(1.0, abs(number - truth) / self.tolerated)

    def loss(self, prediction: Count, truth: float) -> float:
        return self._loss(prediction.number, truth)

    def soft_loss(self, prediction: Count, reference: Count) -> float:
        return min(1.0, 1 - reference.confidence + self._loss(prediction.number, reference.number))

    def brief(self, prediction: Count) -> bytes:
        return _BRIEF.pack(prediction.number)

    def judge(self, brief: bytes, truth: float) -> float:
        return self._loss(_BRIEF.unpack(brief)[0], truth)

    @classmethod
    def plan(
        cls,
        models: Sequence[ModelOutputs],
        folders: Sequence[str],
        aliases: Mapping[str, str],
        *,
        restrict: bool,
    ) -> Plan:
        return Plan(cls(), tuple(CountHead() for _ in models), ())

    def recognise(self, outputs: Outputs, head: CountHead) -> CountHead:
        return head

    def fit(
        self, outputs: Outputs, head: CountHead, truths: Sequence[float], name: str
    ) -> tuple[CountHead, str]:
        spread = outputs["spread"].reshape(-1)
        numbers = outputs["count"].reshape(-1)
        losses = [self._loss(float(n), t) for n, t in zip(numbers, truths, strict=True)]
        if np.mean(losses) > 0.5:
            raise CalibrationError(f"{name} cannot count")
        scale = round(float(np.mean(losses) / max(spread.mean(), 1e-6)), 6)
        return replace(head, scale=scale), f"{name}: scale {scale:g}"

    def uncalibrated(self, head: CountHead) -> CountHead:
        return CountHead()


def dots(count: int, seed: int) -> bytes:
    """A JPEG with `count` bright cells of an 8 x 8 grid on a dim, noisy ground."""
    rng = np.random.default_rng(seed)
    cells = np.zeros(64, np.float32)
    cells[rng.permutation(64)[:count]] = 1
    grid = cells.reshape(8, 8).repeat(4, axis=0).repeat(4, axis=1)
    image = 20 + 200 * grid + rng.normal(0, 4, (SIDE, SIDE))
    pixels = np.clip(image, 0, 255).astype(np.uint8)[:, :, None].repeat(3, axis=2)
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=95))


def scenes(images: int, seed: int = 0) -> LabelledSet:
    """Labelled images in memory; the label is the number as text."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, MOST + 1, images)
    return in_memory(
        (
            LabelledImage(dots(int(count), 1000 * seed + index), str(count), f"{index:04d}.jpg")
            for index, count in enumerate(counts)
        ),
        sorted({str(count) for count in counts}),
    )


def counter(columns: int) -> onnx.ModelProto:
    """Pixels uint8 [N,32,32,3] to `count` and `spread` [N,1], from the first columns alone.

    Fewer columns see fewer dots and scale up: the error grows with the number; `spread` says so.
    """
    cells = 64 * columns / SIDE
    per_cell = 200.0 / cells
    unseen = 1 - columns / SIDE
    constants: dict[str, np.ndarray] = {
        "starts": np.array([0], np.int64),
        "ends": np.array([columns], np.int64),
        "axes": np.array([2], np.int64),
        "ground": np.array([[20.0]], np.float32),
        "scale": np.array([[SIDE / columns / per_cell]], np.float32),
        "least": np.array([[0.25]], np.float32),
        "unseen": np.array([[unseen + 0.02]], np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["pixels", "starts", "ends", "axes"], ["seen"]),
        helper.make_node("ReduceMean", ["seen"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "one"], ["column"]),
        helper.make_node("Sub", ["column", "ground"], ["above"]),
        helper.make_node("Mul", ["above", "scale"], ["count"]),
        helper.make_node("Max", ["count", "least"], ["some"]),
        helper.make_node("Mul", ["some", "unseen"], ["variance"]),
        helper.make_node("Sqrt", ["variance"], ["spread"]),
    ]
    constants["one"] = np.array([1], np.int64)
    graph = helper.make_graph(
        nodes,
        "counter",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info("count", TensorProto.FLOAT, ["n", 1]),
            helper.make_tensor_value_info("spread", TensorProto.FLOAT, ["n", 1]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    return model


def plugin(folder: Path) -> Path:
    """A folder that, on a Python path beside the tests, registers the kind."""
    info = folder / "counting-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: counting\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[hawkvision.kinds]\ncounting = tests.tasks.counting:Counting\n"
    )
    return folder
