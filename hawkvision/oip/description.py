"""What a service says of a model: its tensors, as metadata and as a configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hawkvision.oip.messages import INPUT
from hawkvision.tasks import TensorSpec

BACKEND = "hawkvision"
_ANY = -1
_TYPES = {"BYTES": "TYPE_STRING"}
"""Where a configuration names a datatype otherwise than `TYPE_` and the datatype."""


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """`outputs` have the shape for one image; the input is `image`, N encoded ones."""

    name: str
    version: str
    platform: str
    outputs: tuple[TensorSpec, ...]
    inputs: tuple[TensorSpec, ...] = (TensorSpec(INPUT, "BYTES", ()),)

    def metadata(self) -> dict[str, Any]:
        """The reply of `ModelMetadata`, also as JSON over REST."""
        return {
            "name": self.name,
            "versions": [self.version],
            "platform": self.platform,
            "inputs": [_tensor(one) for one in self.inputs],
            "outputs": [_tensor(one) for one in self.outputs],
        }

    def configuration(self) -> dict[str, Any]:
        """The reply of `ModelConfig`; N is an axis like any other, so `max_batch_size` is 0."""
        return {
            "name": self.name,
            "platform": self.platform,
            "backend": BACKEND,
            "version_policy": {"latest": {"num_versions": 1}},
            "max_batch_size": 0,
            "input": [_configured(one) for one in self.inputs],
            "output": [_configured(one) for one in self.outputs],
            "model_transaction_policy": {"decoupled": False},
        }


def _tensor(one: TensorSpec) -> dict[str, Any]:
    return {"name": one.name, "datatype": one.datatype, "shape": [_ANY, *one.shape]}


def _configured(one: TensorSpec) -> dict[str, Any]:
    kind = _TYPES.get(one.datatype, f"TYPE_{one.datatype}")
    return {"name": one.name, "data_type": kind, "dims": [_ANY, *one.shape]}
