"""Answers as tensors of the Open Inference Protocol: the kind's own, and what all answers have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_agent.local import LocalTask
from hawkvision.contract.answer import Answer
from hawkvision.oip.messages import OutputTensor, Scalar
from hawkvision.repository.task import Kind
from hawkvision.tasks import Itemised, TensorSpec

LABEL, CONFIDENCE = "label", "confidence"
_ENVELOPE = (
    TensorSpec(CONFIDENCE, "FP32", ()),
    TensorSpec("certified", "BOOL", ()),
    TensorSpec("served_by", "BYTES", ()),
    TensorSpec("request_id", "BYTES", ()),
)


def output_specs(kind: Kind) -> tuple[TensorSpec, ...]:
    """The kind's tensors, `label` where its answers are items with names, and the envelope.

    A kind's own tensor goes before one of ours with its name.
    """
    named = (TensorSpec(LABEL, "BYTES", ()),) if _names_items(kind) else ()
    own = {one.name for one in kind.tensors}
    return (*kind.tensors, *(one for one in (*named, *_ENVELOPE) if one.name not in own))


def _names_items(kind: Kind) -> bool:
    return isinstance(kind, Itemised) and bool(kind.labels)


def outputs_of(
    local: LocalTask, predictions: Sequence[object], answers: Sequence[Answer]
) -> tuple[OutputTensor, ...]:
    """What `output_specs` announces, [N, …], of N predictions and the answers made of them."""
    kind = local.task.kind
    found = {
        name: OutputTensor(name, "FP32", one) for name, one in kind.encode(predictions).items()
    }
    if isinstance(kind, Itemised) and kind.labels:
        found.setdefault(LABEL, _texts(LABEL, [kind.labels[kind.item(one)] for one in predictions]))
    confidences = np.array([one.confidence for one in answers], np.float32)
    found.setdefault(CONFIDENCE, OutputTensor(CONFIDENCE, "FP32", confidences))
    certified = np.array([one.certified for one in answers], np.bool_)
    found.setdefault("certified", OutputTensor("certified", "BOOL", certified))
    for name, texts in (
        ("served_by", [one.served_by for one in answers]),
        ("request_id", [one.request_id for one in answers]),
    ):
        found.setdefault(name, _texts(name, texts))
    return tuple(found.values())


def _texts(name: str, texts: Sequence[str]) -> OutputTensor:
    values = np.empty(len(texts), np.object_)
    values[:] = [text.encode() for text in texts]
    return OutputTensor(name, "BYTES", values)


def parameters_of(answers: Sequence[Answer]) -> dict[str, Scalar]:
    """What holds for all answers of a reply: the promise, and the worst that became of it."""
    promise = answers[0].accuracy
    sides, rungs = ({one.served_by for one in answers}, {one.rung for one in answers})
    said: dict[str, Scalar] = {
        "target": promise.target,
        "threshold": promise.threshold,
        "certified": all(one.certified for one in answers),
        "served_by": sides.pop() if len(sides) == 1 else "mixed",
        "rung": rungs.pop() if len(rungs) == 1 else "mixed",
    }
    degraded = next((one.degraded for one in answers if one.degraded is not None), None)
    return said if degraded is None else said | {"degraded": degraded}
