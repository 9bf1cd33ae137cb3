"""What a kind of task is: the one seam between networks and everything that serves them.

A kind knows what a network's outputs mean. Everything else (engines, calibration, the cascade,
tracking, HTTP) sees a prediction that has a confidence in [0, 1] and, against a truth, a loss in
[0, 1]; the accuracy of answers is one minus their mean loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

Outputs = Mapping[str, npt.NDArray[np.float32]]
"""Tensors by name, float32; the first axis counts images."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor's name, Open Inference Protocol datatype, and shape for one image (-1: any)."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelOutputs:
    """What is known of one rung before its kind is chosen: its name, outputs, labels, settings.

    `size` is the length of the output's last axis (None: open), `labels` the names of the outputs,
    which the user gives or (`labels_from_file`) an exporter left in the file; `synonyms` are other
    names of outputs, by their place; `settings` is what the user says of the outputs, by key.
    """

    name: str
    size: int | None
    labels: tuple[str, ...] | None = None
    labels_from_file: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    synonyms: Mapping[str, int] = field(default_factory=dict)


class Prediction(Protocol):
    """What a rung says of one image. Kinds have classes of their own."""

    @property
    def confidence(self) -> float:
        """Calibrated expectation of one minus the loss, in [0, 1]; the cascade's only signal."""
        ...


class Placement(Protocol):
    """Where a network's input lies in the image that was sent."""

    def to_source(self, x: float, y: float) -> tuple[float, float]:
        """A point of the network's input in px of the image as it was sent."""
        ...


P = TypeVar("P", bound=Prediction)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """A kind made for given models and data: the kind, a head for each model, notes for people."""

    kind: TaskKind[Any, Any]
    heads: tuple[Any, ...]
    notes: tuple[str, ...]


class TaskKind(Protocol[P, T]):
    """One kind of task, bound to one task's vocabulary. Immutable; used from several threads.

    A *head* says how one network's outputs are read (for classification: what they are, which of
    them are the labels, the temperature); it is the kind's own frozen type and nobody else's.
    `binary` kinds have losses of 0 and 1 only, which buys the exact binomial bound.
    """

    name: str
    binary: bool

    @property
    def labels(self) -> tuple[str, ...]:
        """The names that answers use, in order; empty where a kind has none."""
        ...

    @property
    def aliases(self) -> Mapping[str, str]:
        """Other names of labels."""
        ...

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """What `encode` makes of one prediction: the outputs that a gateway announces."""
        ...

    # In a model repository.

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> TaskKind[P, T]:
        """From the keys of `task.toml`. Raises KeyError, TypeError or ValueError."""
        ...

    def as_table(self) -> dict[str, Any]:
        """What `parse` reads."""
        ...

    def parse_head(self, table: Mapping[str, Any]) -> Any:
        """A rung's head from its table in `task.toml`. Raises KeyError, TypeError or ValueError."""
        ...

    def head_table(self, head: Any) -> dict[str, Any]:
        """What `parse_head` reads."""
        ...

    def outputs_read(self, head: Any) -> tuple[str, ...]:
        """The file's outputs that `read` needs, by name; none means the first one, whatever."""
        ...

    # On the way of an image.

    def read(self, outputs: Outputs, head: Any, placements: Sequence[Placement]) -> list[P]:
        """The predictions of a batch from one network's outputs [N, …].

        `placements` has one entry for each image, or none where nobody asks for positions. Raises
        EngineError for outputs that are none (NaN, another shape).
        """
        ...

    def encode(self, predictions: Sequence[P]) -> Outputs:
        """Predictions as tensors [N, …] for the way between gateway and edge."""
        ...

    def decode(self, outputs: Outputs) -> list[P]:
        """What `encode` made, trusting nothing. Raises ValueError for anything else."""
        ...

    def as_dict(self, prediction: P, top_k: int) -> dict[str, Any]:
        """The kind's own fields of an answer's JSON, `confidence` among them."""
        ...

    def parse_answer(self, body: Mapping[str, Any]) -> P:
        """A prediction from `as_dict`'s fields, as far as a loss needs it.

        Raises KeyError, TypeError or ValueError.
        """
        ...

    # Right and wrong.

    def truth(self, label: str) -> T:
        """The truth of a data set's label (a folder's name, say). Raises DatasetError."""
        ...

    def parse_feedback(self, body: Mapping[str, Any]) -> T:
        """The truth that a client reports after an answer. Raises InvalidRequest."""
        ...

    def loss(self, prediction: P, truth: T) -> float:
        """How wrong, in [0, 1]."""
        ...

    def soft_loss(self, prediction: P, reference: P) -> float:
        """The expected loss of `prediction` if the calibrated `reference` is believed."""
        ...

    def brief(self, prediction: P) -> bytes:
        """What a receipt keeps of an answer, so that feedback can be judged later; <= 64 bytes."""
        ...

    def judge(self, brief: bytes, truth: T) -> float:
        """The loss of the prediction that `brief` came from."""
        ...

    # While a task is built.

    @classmethod
    def plan(
        cls,
        models: Sequence[ModelOutputs],
        folders: Sequence[str],
        aliases: Mapping[str, str],
        *,
        restrict: bool,
    ) -> Plan:
        """The kind and the heads that fit models (the edge's first) and labelled data.

        `folders` are the data's labels, `aliases` map them to names of the task; with `restrict`
        names without data are left out. Raises CalibrationError.
        """
        ...

    def recognise(self, outputs: Outputs, head: Any) -> Any:
        """The head, where outputs of a few images [N, …] say more of it than the user did."""
        ...

    def fit(self, outputs: Outputs, head: Any, truths: Sequence[T], name: str) -> tuple[Any, str]:
        """The head with its confidence calibrated on fitting images, and a note.

        `name` is the rung's, for messages. Raises CalibrationError where the network is not for
        this data.
        """
        ...

    def uncalibrated(self, head: Any) -> Any:
        """The head as it was before `fit`, for comparison."""
        ...


@runtime_checkable
class Itemised(Protocol):
    """A kind whose answers and truths are items of a numbered list, for tables by item."""

    def item(self, prediction: Any) -> int:
        """The number of a prediction's item."""
        ...

    def item_of(self, truth: Any) -> int:
        """The number of a truth's item."""
        ...

    def losses_of(
        self, items: npt.NDArray[np.int32], truths: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.float32]:
        """Losses [..., N] of items [..., N] against truths [N]."""
        ...
