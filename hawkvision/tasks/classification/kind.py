"""`kind = "classification"`: the kind itself, put together from this room's parts."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hawkvision.errors import DatasetError, EngineError, InvalidRequest
from hawkvision.tasks.base import ModelOutputs, Outputs, Placement, Plan, TensorSpec
from hawkvision.tasks.classification.head import ClassificationHead, looks_like_probabilities
from hawkvision.tasks.classification.labels import check_order, plan_classification
from hawkvision.tasks.classification.prediction import (
    ClassPrediction,
    alone,
    most_probable,
    softmax,
)
from hawkvision.tasks.classification.temperature import (
    expected_calibration_error,
    fit_temperature,
)

OUTPUT = "probabilities"
_BRIEF = struct.Struct(">i")


class Classification:
    """One label for each image; the loss is 0 where it is right and 1 where it is wrong.

    `aliases` map other names of a class (a WordNet id, say) to its label.
    """

    name = "classification"
    binary = True

    def __init__(self, labels: Sequence[str], aliases: Mapping[str, str] | None = None) -> None:
        self._labels = tuple(labels)
        self._aliases = dict(aliases or {})
        self.tensors = (TensorSpec(OUTPUT, "FP32", (len(self._labels),)),)

    @property
    def labels(self) -> tuple[str, ...]:
        """The task's labels; a class id is a place among them."""
        return self._labels

    @property
    def aliases(self) -> Mapping[str, str]:
        """Labels by their other names."""
        return self._aliases

    @cached_property
    def class_ids(self) -> dict[str, int]:
        """Class id by label and by alias."""
        ids = {label: index for index, label in enumerate(self._labels)}
        return ids | {alias: ids[label] for alias, label in self._aliases.items()}

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> Classification:
        """See `TaskKind.parse`: `labels` and `aliases`."""
        labels = tuple(str(label) for label in table["labels"])
        if len(set(labels)) != len(labels) or len(labels) < 2:
            raise ValueError("labels must be at least two, all different")
        aliases = {str(alias): str(label) for alias, label in table.get("aliases", {}).items()}
        unknown = sorted(set(aliases.values()) - set(labels))
        if unknown:
            raise ValueError(f"aliases of unknown labels: {', '.join(unknown)}")
        return cls(labels, aliases)

    def as_table(self) -> dict[str, Any]:
        """See `TaskKind.as_table`."""
        table: dict[str, Any] = {"labels": list(self._labels)}
        return table | ({"aliases": dict(self._aliases)} if self._aliases else {})

    def parse_head(self, table: Mapping[str, Any]) -> ClassificationHead:
        """See `TaskKind.parse_head`."""
        return ClassificationHead.parse(table)

    def head_table(self, head: ClassificationHead) -> dict[str, Any]:
        """See `TaskKind.head_table`."""
        return head.as_table()

    def outputs_read(self, head: ClassificationHead) -> tuple[str, ...]:
        """See `TaskKind.outputs_read`: the first one."""
        return ()

    def read(
        self, outputs: Outputs, head: ClassificationHead, placements: Sequence[Placement] = ()
    ) -> list[ClassPrediction]:
        """See `TaskKind.read`; the first output counts."""
        logits = self.logits(outputs, head)
        if len(logits) == 1:
            found = [alone(logits[0], head.temperature)]
        else:
            found = [most_probable(row) for row in softmax(logits, head.temperature)]
        for one in found:
            if one.confidence != one.confidence:  # NaN or +inf anywhere makes all of a row NaN
                raise EngineError(
                    "the network answered NaN or infinity",
                    hint="Check the model with `hawkvision models verify`.",
                )
        return found

    def logits(self, outputs: Outputs, head: ClassificationHead) -> npt.NDArray[np.float32]:
        """Logits [N,K] in the order of the labels. Raises EngineError for another K."""
        logits = head.logits(next(iter(outputs.values())))
        if logits.shape[1] != len(self._labels):
            raise EngineError(
                f"the network answers {logits.shape[1]} classes, the task has "
                f"{len(self._labels)} labels",
                hint="Check task.toml against the model.",
            )
        return logits

    def encode(self, predictions: Sequence[ClassPrediction]) -> Outputs:
        """See `TaskKind.encode`: `probabilities` [N,K]."""
        return {OUTPUT: np.stack([prediction.probabilities for prediction in predictions])}

    def decode(self, outputs: Outputs) -> list[ClassPrediction]:
        """See `TaskKind.decode`."""
        rows = outputs.get(OUTPUT)
        if rows is None or rows.size % len(self._labels):
            raise ValueError(f"no output {OUTPUT!r} of {len(self._labels)} classes")
        rows = rows.reshape(-1, len(self._labels))
        if not np.isfinite(rows).all() or (rows < 0).any() or (rows > 1 + 1e-3).any():
            raise ValueError(f"{OUTPUT!r} holds no probabilities")
        return [most_probable(row) for row in rows]

    def as_dict(self, prediction: ClassPrediction, top_k: int) -> dict[str, Any]:
        """See `TaskKind.as_dict`: label, class_id, confidence, top_k."""
        labels = self._labels
        return {
            "label": labels[prediction.class_id],
            "class_id": prediction.class_id,
            "confidence": prediction.confidence,
            "top_k": [
                {"label": labels[index], "class_id": index, "probability": probability}
                for index, probability in prediction.top(top_k)
            ],
        }

    def parse_answer(self, body: Mapping[str, Any]) -> ClassPrediction:
        """See `TaskKind.parse_answer`; probabilities that the answer leaves out are 0."""
        probabilities = np.zeros(len(self._labels), np.float32)
        class_id, confidence = int(body["class_id"]), float(body["confidence"])
        for guess in body.get("top_k", ()):
            probabilities[int(guess["class_id"])] = float(guess["probability"])
        if not 0 <= class_id < len(self._labels):
            raise ValueError(f"class_id {class_id} is none of {len(self._labels)}")
        return ClassPrediction(class_id, confidence, probabilities)

    def truth(self, label: str) -> int:
        """See `TaskKind.truth`: the class id of a label or alias."""
        found = self.class_ids.get(label)
        if found is None:
            raise DatasetError(
                f"class {label[:80]!r} is no label of the task",
                hint="Choose the right task, or add the folder's name as an alias in task.toml.",
            )
        return found

    def parse_feedback(self, body: Mapping[str, Any]) -> int:
        """See `TaskKind.parse_feedback`: `label`, or `class_id`."""
        label, class_id = body.get("label"), body.get("class_id")
        if isinstance(label, str) and class_id is None:
            class_id = self.class_ids.get(label)
        elif label is not None or not isinstance(class_id, int) or isinstance(class_id, bool):
            raise InvalidRequest(
                "give either a label or a class_id",
                hint='Send {"request_id": …, "label": …} or with "class_id".',
            )
        if class_id is None or not 0 <= class_id < len(self._labels):
            told = class_id if label is None else label
            raise InvalidRequest(
                f"{str(told)[:80]!r} is no class of the task",
                hint="Labels: " + ", ".join(self._labels[:20]),
            )
        return class_id

    def loss(self, prediction: ClassPrediction, truth: int) -> float:
        """See `TaskKind.loss`: 0 or 1."""
        return float(prediction.class_id != truth)

    def soft_loss(self, prediction: ClassPrediction, reference: ClassPrediction) -> float:
        """See `TaskKind.soft_loss`: one minus the reference's probability of the label."""
        return 1.0 - float(reference.probabilities[prediction.class_id])

    def brief(self, prediction: ClassPrediction) -> bytes:
        """See `TaskKind.brief`: the class id."""
        return _BRIEF.pack(prediction.class_id)

    def judge(self, brief: bytes, truth: int) -> float:
        """See `TaskKind.judge`."""
        return float(_BRIEF.unpack(brief)[0] != truth)

    @classmethod
    def plan(
        cls,
        models: Sequence[ModelOutputs],
        folders: Sequence[str],
        aliases: Mapping[str, str],
        *,
        restrict: bool,
    ) -> Plan:
        """See `TaskKind.plan`: one order of labels for all models, mapped by name."""
        found = plan_classification(models, folders, aliases, restrict=restrict)
        kept = {
            alias: label
            for alias, label in {**aliases, **found.aliases}.items()
            if label in found.labels and alias not in found.labels
        }
        heads = tuple(
            replace(ClassificationHead.parse({"temperature": 1.0, **model.settings}), select=chosen)
            for model, chosen in zip(models, found.selects, strict=True)
        )
        return Plan(cls(found.labels, kept), heads, found.notes)

    def recognise(self, outputs: Outputs, head: ClassificationHead) -> ClassificationHead:
        """See `TaskKind.recognise`: whether the file ends in probabilities."""
        if looks_like_probabilities(next(iter(outputs.values()))):
            return replace(head, output="probabilities")
        return head

    def fit(
        self, outputs: Outputs, head: ClassificationHead, truths: Sequence[int], name: str
    ) -> tuple[ClassificationHead, str]:
        """See `TaskKind.fit`: temperature scaling, after a look at the order of the labels."""
        logits = self.logits(outputs, head)
        labels = np.asarray(truths, np.int32)
        check_order(name, logits.argmax(axis=1), labels, len(self._labels))
        temperature = round(fit_temperature(logits, labels), 4)
        before = expected_calibration_error(logits, labels, 1.0)
        after = expected_calibration_error(logits, labels, temperature)
        note = (
            f"{name}: temperature {temperature:g} (calibration error {before:.3f} before, "
            f"{after:.3f} after, on the {len(labels)} fitting images)"
        )
        return replace(head, temperature=temperature), note

    def uncalibrated(self, head: ClassificationHead) -> ClassificationHead:
        """See `TaskKind.uncalibrated`: a temperature of 1."""
        return replace(head, temperature=1.0)

    def item(self, prediction: ClassPrediction) -> int:
        """See `Itemised.item`: the class id."""
        return prediction.class_id

    def item_of(self, truth: int) -> int:
        """See `Itemised.item_of`."""
        return truth

    def losses_of(
        self, items: npt.NDArray[np.int32], truths: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.float32]:
        """See `Itemised.losses_of`."""
        return np.asarray(items != truths, np.float32)
