"""How one network's output becomes logits in the order of the task's labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Output = Literal["logits", "probabilities"]
_LEAST = 1e-12
_NEAR_ONE = 1e-2
_STEPS = 256
_ROUNDED = 0.15


@dataclass(frozen=True, slots=True)
class ClassificationHead:
    """What the output is, which of its columns are the labels (empty: all, in order).

    A file with one column (the logit or probability of class 1) has two classes.
    """

    temperature: float = 1.0
    output: Output = "logits"
    select: tuple[int, ...] = ()

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> ClassificationHead:
        """From a rung's table in `task.toml`. Raises KeyError, TypeError or ValueError."""
        output = str(table.get("output", "logits"))
        if output not in ("logits", "probabilities"):
            raise ValueError(f"output {output!r} is not one of logits, probabilities")
        temperature = float(table["temperature"])
        if not 0 < temperature < float("inf"):
            raise ValueError(f"temperature {temperature} is not above 0")
        select = tuple(int(index) for index in table.get("select", ()))
        return cls(temperature, cast(Output, output), select)

    def as_table(self) -> dict[str, Any]:
        """What `parse` reads."""
        table: dict[str, Any] = {"output": self.output, "temperature": self.temperature}
        return table | ({"select": list(self.select)} if self.select else {})

    def logits(self, output: Floats) -> Floats:
        """Logits [N,K] in the task's order from the file's output [N,…]."""
        if output.ndim != 2:
            output = output.reshape(len(output), -1)  # [N,K,1,1] of fully convolutional networks
        if output.shape[1] == 1:
            other = 1 - output if self.output == "probabilities" else np.zeros_like(output)
            output = np.concatenate([other, output], axis=1)
        if self.select:
            output = output[:, self.select]
        return np.log(np.maximum(output, _LEAST)) if self.output == "probabilities" else output


def looks_like_probabilities(output: Floats) -> bool:
    """Whether rows [N,K] are probabilities: at least 0, of one sum (or a single share in [0, 1]).

    That sum is 1, or 100 (percent), or about 256 where a quantized network answers whole steps.
    """
    rows = output.reshape(len(output), -1)
    if rows.size == 0 or rows.min() < 0:
        return False
    if rows.shape[1] == 1:
        return bool(rows.max() <= 1 + _NEAR_ONE)
    sums = rows.sum(axis=1)
    if any(np.abs(sums / whole - 1).max() < _NEAR_ONE for whole in (1.0, 100.0)):
        return True
    steps = bool((rows == np.round(rows)).all()) and rows.max() <= _STEPS
    return steps and bool(np.abs(sums / _STEPS - 1).max() < _ROUNDED)
