"""Which of a file's outputs holds the scores of classes: by type, shape and name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hawkvision.errors import CalibrationError

_SCORES = frozenset(
    f"tensor({name})" for name in ("float", "float16", "double", "bfloat16", "uint8", "int8")
)
_BETTER = re.compile(r"logit|prob|softmax|score|pred|class|output", re.IGNORECASE)
_WORSE = re.compile(r"aux|embed|feature|hidden|pool|attention|mask|box", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a file: its name, ONNX Runtime's name of its type, and its shape.

    A side is an int, or the name of one that the file leaves open (None without a name).
    """

    name: str
    type: str
    shape: tuple[int | str | None, ...]

    @classmethod
    def described(cls, name: str, kind: str, shape: Sequence[Any]) -> Output:
        """From what ONNX Runtime says of an output."""
        return cls(name, kind, tuple(shape))

    @property
    def size(self) -> int | None:
        """The number of scores for one image; None where the file leaves it open."""
        sides = self._sides()
        return sides[0] if len(sides) == 1 and isinstance(sides[0], int) else None

    @property
    def scores(self) -> bool:
        """Whether it can hold a score for each class: numbers, in one dimension beside N."""
        whole = self.type in ("tensor(uint8)", "tensor(int8)")
        if self.type not in _SCORES or 0 in self.shape or (whole and self.size == 1):
            return False  # a single whole number is an answer, not a score
        return len(self._sides()) == 1

    def _sides(self) -> list[int | str | None]:
        """The sides of one image's part that are not 1; [1] where there are none."""
        if len(self.shape) == 1 and isinstance(self.shape[0], int):
            return [self.shape[0]]  # [1000]: no batch at all
        return [side for side in self.shape[1:] if side != 1] or [1]

    def __str__(self) -> str:
        sides = ",".join("?" if side is None else str(side) for side in self.shape)
        return f"{self.name} {self.type.removeprefix('tensor')}[{sides}]".replace("(", "").replace(
            ")", ""
        )


def choose_output(
    model: str, outputs: Sequence[Output], name: str | None, classes: Sequence[int]
) -> Output:
    """The output that is read: the one called `name`, or the one that looks like class scores.

    `classes` are the numbers of classes that would fit, the likeliest first (of the labels, then of
    the data). Raises CalibrationError, listing the outputs, where none or several may be meant.
    """
    if name is not None:
        named = [output for output in outputs if output.name == name]
        if not named:
            raise _cannot(f"{model} has no output {name[:80]!r}", outputs)
        if not named[0].scores:
            raise _cannot(f"{model}: output {named[0]} holds no score for each class", outputs)
        return named[0]
    likely = [output for output in outputs if output.scores]
    if not likely:
        raise _cannot(f"no output of {model} holds a score for each class", outputs)
    for fits in (*classes, None):
        found = [output for output in likely if fits in (None, output.size)]
        if not found and fits == 2:
            found = [output for output in likely if output.size == 1]
        if len(found) > 1:
            found = [output for output in found if not _WORSE.search(output.name)] or found
        if len(found) > 1:
            found = [output for output in found if _BETTER.search(output.name)] or found
        if len(found) == 1 or (found and fits is not None and _same_scores(found)):
            return found[0]
    raise _cannot(f"{model} has several outputs that may be meant", outputs)


def _same_scores(outputs: Sequence[Output]) -> bool:
    """Whether these are the logits and the probabilities of one head."""
    logits = [output for output in outputs if "logit" in output.name.lower()]
    chances = [
        output for output in outputs if re.search("prob|softmax", output.name, re.IGNORECASE)
    ]
    return len(logits) == 1 and len(chances) == 1 and len(outputs) == 2


def _cannot(what: str, outputs: Sequence[Output]) -> CalibrationError:
    listed = "; ".join(str(output) for output in outputs[:20])
    hint = "Say which one: FILE.onnx,output=NAME. Scores are numbers [N,CLASSES]."
    return CalibrationError(f"{what}; its outputs: {listed}", hint=hint)
