"""The small bodies of the model repository extension of the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hawkvision.contract.fields import Json


@dataclass(frozen=True, slots=True)
class IndexAsked:
    """Which versions to list: every one, or with `ready` those that answer."""

    ready: bool | None = None


@dataclass(frozen=True, slots=True)
class ChangeAsked:
    """Load or unload: there are no `parameters` that change anything."""

    parameters: Mapping[str, Json] | None = field(default_factory=dict)
