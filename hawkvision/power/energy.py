"""Energy over an interval, and what it comes to for each image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_LARGEST_GAP = 0.05
"""Share of an interval that may be unmeasured."""


@dataclass(frozen=True, slots=True)
class Energy:
    """Joules that were measured over `seconds`, of the rails that are named.

    The whole draw of those rails, idle included, whoever caused it. During `unmeasured_s` more a
    sensor was silent.
    """

    joules: float
    seconds: float
    unmeasured_s: float
    rails: tuple[str, ...]

    def since(self, earlier: Energy) -> Energy | NotMeasured:
        """What was measured between an earlier total and this one."""
        seconds = self.seconds - earlier.seconds
        silent = self.unmeasured_s - earlier.unmeasured_s
        joules = self.joules - earlier.joules
        if joules < 0 or seconds < 0 or silent < 0:
            return NotMeasured("the meter began again meanwhile")
        if seconds <= 0:
            return NotMeasured("no sensor was read twice in the interval")
        if silent > _LARGEST_GAP * (seconds + silent):
            return NotMeasured(f"sensors were silent for {silent:.1f} of {seconds + silent:.1f} s")
        return Energy(joules, seconds, silent, self.rails)

    def __add__(self, other: Energy) -> Energy:
        """Two intervals of the same meter."""
        return Energy(
            self.joules + other.joules,
            self.seconds + other.seconds,
            self.unmeasured_s + other.unmeasured_s,
            tuple(dict.fromkeys((*self.rails, *other.rails))),
        )


@dataclass(frozen=True, slots=True)
class NotMeasured:
    """Why there is no figure."""

    reason: str


def per_image(
    found: Energy | NotMeasured, images: float, right: float | None = None
) -> dict[str, Any]:
    """For JSON: joules for each of `images`, and for each of the `right` answers among them.

    `measured` is false where there is no figure, and `reason` says why.
    """
    if isinstance(found, Energy) and images <= 0:
        found = NotMeasured("no image was answered")
    if isinstance(found, NotMeasured):
        return {"measured": False, "reason": found.reason}
    return {
        "measured": True,
        "rails": list(found.rails),
        "joules": found.joules,
        "seconds": found.seconds,
        "watts": found.joules / found.seconds,
        "images": images,
        "joules_per_image": found.joules / images,
        "joules_per_right_answer": found.joules / right if right else None,
    }


def energy_line(energy: dict[str, Any]) -> str:
    """The dictionary of `per_image` in one line, for people."""
    if not energy["measured"]:
        return f"energy: not measured: {energy['reason']}"
    right = energy["joules_per_right_answer"]
    more = "" if right is None else f", {right:.3g} J a right answer"
    return (
        f"energy: {energy['joules_per_image']:.3g} J an image{more}; {energy['watts']:.3g} W, "
        f"idle included ({', '.join(energy['rails'])})"
    )
