"""How hard the samples are: one knob per effect, and the default mix."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Difficulty:
    """Upper strength of each effect, 0 = off, 1 = as strong as a person can still read.

    Every sample draws its own strengths below these limits; values above 1 go further.
    Raises ValueError for a negative or non-finite knob.
    """

    perspective: float = 0.0
    """Viewing angle, roll and off-centre framing."""
    distance: float = 0.0
    """How small the sign is in the crop."""
    background: float = 0.0
    """Clutter behind and beside the sign."""
    lighting: float = 0.0
    """Exposure, colour temperature, shadows and glare."""
    fading: float = 0.0
    """Bleached and yellowed paint."""
    dirt: float = 0.0
    """Mud splats and stains on the sign."""
    occlusion: float = 0.0
    """Leaves, branches, posts and plates in front of the sign."""
    night: float = 0.0
    """Share of night samples and how dark they are."""
    fog: float = 0.0
    """Loss of contrast towards the airlight."""
    rain: float = 0.0
    """Rain streaks."""
    motion_blur: float = 0.0
    """Length of the camera shake."""
    defocus: float = 0.0
    """Radius of the focus blur."""
    noise: float = 0.0
    """Shot and read noise of the sensor."""
    compression: float = 0.0
    """How low the JPEG quality may go."""

    def __post_init__(self) -> None:
        for name, value in self.knobs().items():
            if not (math.isfinite(value) and value >= 0.0):
                raise ValueError(f"difficulty knob {name} must be finite and >= 0, got {value}")

    @classmethod
    def uniform(cls, level: float) -> Self:
        """Every knob at the same level."""
        return cls(**{field.name: level for field in dataclasses.fields(cls)})

    def scaled(self, factor: float) -> Difficulty:
        """Every knob multiplied by `factor` (>= 0)."""
        return Difficulty(**{name: value * factor for name, value in self.knobs().items()})

    def knobs(self) -> dict[str, float]:
        """Knob values by name, in declaration order."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


STANDARD = dataclasses.replace(
    Difficulty.uniform(1.1), distance=1.35, perspective=1.3, background=1.3, occlusion=1.2
)
"""The default mix: small and cluttered signs, which a larger network at more pixels can read."""
