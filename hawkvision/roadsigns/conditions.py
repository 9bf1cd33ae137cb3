"""Turns a seed into random rolls and, with a difficulty, into the strength of each effect.

The rolls do not depend on the difficulty, so turning a knob up makes the same picture harder.
"""

from __future__ import annotations

import numpy as np

from hawkvision.roadsigns.difficulty import Difficulty

_ROWS = {
    name: row
    for row, name in enumerate(
        (
            "strength",
            "style",
            "perspective",
            "distance",
            "background",
            "clutter",
            "pole",
            "lighting",
            "fading",
            "dirt",
            "occlusion",
            "night",
            "fog",
            "rain",
            "motion_blur",
            "defocus",
            "noise",
        )
    )
}
_ROLLS_PER_ROW = 16

_SHAPE = {
    "perspective": 1.3,
    "distance": 1.1,
    "background": 0.35,
    "lighting": 1.2,
    "fading": 2.5,
    "dirt": 2.5,
    "occlusion": 2.2,
    "night": 0.8,
    "fog": 3.0,
    "rain": 4.0,
    "motion_blur": 2.0,
    "defocus": 2.0,
    "noise": 1.8,
    "compression": 1.2,
}
"""Exponent on a uniform roll: above 1 the effect is mostly weak with a strong tail."""

_DAMAGE = {
    "perspective": 0.4,
    "distance": 1.0,
    "lighting": 0.3,
    "fading": 0.3,
    "dirt": 0.4,
    "occlusion": 0.8,
    "night": 0.6,
    "fog": 0.6,
    "rain": 0.2,
    "motion_blur": 0.9,
    "defocus": 0.9,
    "noise": 0.6,
    "compression": 0.5,
}
"""How much each effect hides of the sign, to bound what they may hide together."""

_DAMAGE_LIMIT = 2.1
_NIGHT_SHARE = 0.2
_STRONGEST = 3.0


class Rolls:
    """Uniform rolls in [0, 1) of one sample, a row of 16 per effect."""

    def __init__(self, seed: int) -> None:
        generator = np.random.Generator(np.random.PCG64(seed))
        self._table: list[list[float]] = generator.random((len(_ROWS), _ROLLS_PER_ROW)).tolist()

    def row(self, name: str) -> list[float]:
        """The 16 rolls that belong to one effect."""
        return self._table[_ROWS[name]]


def draw_strengths(rolls: Rolls, difficulty: Difficulty) -> dict[str, float]:
    """Strength of every effect of one sample, from 0 (off) to its difficulty knob, at most 3.

    Effects that hide the sign share a budget: a tiny sign is not heavily blurred as well.
    """
    row = rolls.row("strength")
    severity = 0.3 + 1.0 * row[0] ** 1.3
    knobs = difficulty.knobs()
    units: dict[str, float] = {}
    for roll, (name, shape) in zip(row[1:], _SHAPE.items(), strict=False):
        units[name] = min(1.0, roll**shape * (severity if name in _DAMAGE else 1.0))
    is_night = rolls.row("night")[0] < _NIGHT_SHARE * min(knobs["night"], 2.0)
    units["night"] = 0.55 + 0.45 * units["night"] if is_night else 0.0
    damage = sum(weight * units[name] for name, weight in _DAMAGE.items())
    if damage > _DAMAGE_LIMIT:
        for name in _DAMAGE:
            units[name] *= _DAMAGE_LIMIT / damage
    return {name: min(knobs[name] * unit, _STRONGEST) for name, unit in units.items()}
