"""What goes to whoever computes a rung, and what comes back: a head that JSON can say, and bytes.

Deadlines go as seconds that are left, because clocks of two machines differ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hawkvision.errors import (
    CorruptImage,
    DeadlineExceeded,
    EngineError,
    HawkVisionError,
    InvalidRequest,
    Overloaded,
    PayloadTooLarge,
    UnsupportedImage,
)
from hawkvision.tasks import Outputs

Head = dict[str, Any]

_FAULTS: Mapping[str, type[HawkVisionError]] = {
    kind.code: kind
    for kind in (
        InvalidRequest,
        PayloadTooLarge,
        UnsupportedImage,
        CorruptImage,
        Overloaded,
        DeadlineExceeded,
    )
}


@dataclass(frozen=True, slots=True)
class Work:
    """Encoded images for one rung, and the seconds that are left."""

    task: str
    rung: str
    images: Sequence[bytes]
    left_s: float


@dataclass(frozen=True, slots=True)
class Done:
    """Outputs of the images that have an answer, in order, and the errors of the others."""

    outputs: Outputs
    faults: Mapping[int, HawkVisionError]


def encode_work(work: Work) -> tuple[Head, bytes]:
    """See `decode_work`."""
    sizes = [len(image) for image in work.images]
    head = {"task": work.task, "rung": work.rung, "sizes": sizes, "left_s": work.left_s}
    return head, b"".join(work.images)


def decode_work(head: Head, body: bytes) -> Work:
    """What `encode_work` made. Raises ValueError for anything else."""
    try:
        sizes, images, at = [int(size) for size in head["sizes"]], [], 0
        for size in sizes:
            images.append(body[at : at + size])
            at += size
        if at != len(body) or min(sizes, default=0) < 0:
            raise ValueError(f"{len(body)} bytes are not images of {sizes}")
        return Work(str(head["task"]), str(head["rung"]), images, float(head["left_s"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"no work: {error}") from error


def encode_done(done: Done) -> tuple[Head, bytes]:
    """See `decode_done`."""
    tensors = {name: np.ascontiguousarray(rows, "<f4") for name, rows in done.outputs.items()}
    head = {
        "outputs": [[name, list(rows.shape)] for name, rows in tensors.items()],
        "faults": {
            str(index): [fault.code, fault.message, fault.hint, getattr(fault, "retry_after_s", 1)]
            for index, fault in done.faults.items()
        },
    }
    return head, b"".join(rows.tobytes() for rows in tensors.values())


def decode_done(head: Head, body: bytes) -> Done:
    """What `encode_done` made. Raises ValueError for anything else."""
    try:
        outputs, at = {}, 0
        for name, shape in head["outputs"]:
            sides = [int(side) for side in shape]
            size = 4 * math.prod(sides)
            if min(sides, default=0) < 0 or at + size > len(body):
                raise ValueError(f"output {name!r} of {sides} in {len(body)} bytes")
            rows = np.frombuffer(body, "<f4", size // 4, at).reshape(sides)
            outputs[str(name)] = rows.astype(np.float32)
            at += size
        faults = {int(index): _fault(*told) for index, told in head["faults"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no answer: {error}") from error
    return Done(outputs, faults)


def _fault(code: str, message: str, hint: str, retry_after_s: int) -> HawkVisionError:
    kind = _FAULTS.get(code, EngineError)
    if issubclass(kind, Overloaded):
        return kind(message, retry_after_s=int(retry_after_s), hint=hint)
    return kind(message, hint=hint)


def results_of(done: Done, kind: Any, count: int) -> list[Any]:
    """For each of `count` images its prediction or its error. Raises ValueError."""
    predictions = iter(kind.decode(done.outputs) if len(done.faults) < count else ())
    found: list[Any] = [done.faults.get(index) for index in range(count)]
    try:
        found = [next(predictions) if one is None else one for one in found]
    except StopIteration:
        raise ValueError(f"fewer answers than {count} images") from None
    return found
