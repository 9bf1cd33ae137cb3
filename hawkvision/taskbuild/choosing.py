"""A chain out of candidates: what fitting and measuring found of each, to `planning.chains`.

What is looked at are the fitting images and measured costs, never an image that certifies. So the
certificate of what was chosen needs no correction for the choice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hawkvision.calibration import shown
from hawkvision.errors import CalibrationError
from hawkvision.planning.chains import Candidate, Certifying, Chain, Ranking, Wanted, rank
from hawkvision.summary import images_needed
from hawkvision.taskbuild.sources import ModelSource

_NO_WORD = re.compile(r"\W+", re.ASCII)
_LONGEST = 40


@dataclass(frozen=True)
class Choice:
    """The chain that was chosen, and out of what."""

    wanted: Wanted
    candidates: tuple[Candidate, ...]
    ranking: Ranking
    fitting_images: int
    certifying: Certifying

    @property
    def chosen(self) -> Chain:
        """The best one."""
        return self.ranking.chains[0]

    @property
    def places(self) -> list[int]:
        """Of the chosen rungs among the candidates, from small to large."""
        names = [one.name for one in self.candidates]
        return [names.index(name) for name in self.chosen.rungs]

    def missed(self, highest: float) -> list[str]:
        """A note, where the certificate, up to `highest`, falls short of what was expected."""
        target = max(self.wanted.targets)
        if highest >= target:
            return []
        return [
            f"accuracy {shown.target(target)} was expected to be certified (chance "
            f"{self.chosen.chance:.0%}) and is not: up to {shown.lower(highest)}; choosing another "
            "chain by that would void the certificate, more images would help"
        ]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "chosen": list(self.chosen.rungs),
            **asdict(self.wanted),
            "fitting_images": self.fitting_images,
            "certifying_images": self.certifying.images,
            "candidates": [
                {
                    "name": one.name,
                    "milliseconds": one.milliseconds,
                    "memory_mb": one.memory_mb,
                    "accuracy": one.accuracy,
                    "beaten_by": self.ranking.beaten_by.get(one.name),
                }
                for one in self.candidates
            ],
            "ranked": [
                {**asdict(one), "objective_ms": one.objective, "meets": one.meets(self.wanted)}
                for one in self.ranking.chains
            ],
        }


def candidate_names(models: Sequence[ModelSource]) -> list[str]:
    """As given, else the file's name up to its first point. Raises CalibrationError."""
    names = [model.name or _of_file(model) for model in models]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or len(names) < 2:
        raise CalibrationError(
            f"two candidates are called {twice[0]}" if twice else "one candidate is no choice",
            hint="Give each a name of its own: FILE.onnx,name=NAME."
            if twice
            else "Give --candidate FILE for each, two at least.",
        )
    return names


def _of_file(model: ModelSource) -> str:
    name = _NO_WORD.sub("_", model.path.name.split(".")[0]).strip("_")[:_LONGEST]
    return name if name.isidentifier() else f"rung_{name}"[:_LONGEST]


def choose(
    candidates: Sequence[Candidate], wanted: Wanted, fitting_images: int, certifying: Certifying
) -> Choice:
    """The best chain that meets what is wanted.

    Raises CalibrationError where none does, saying how high one comes and what would help.
    """
    ranking = rank(candidates, wanted, certifying)
    choice = Choice(wanted, tuple(candidates), ranking, fitting_images, certifying)
    if choice.chosen.meets(wanted):
        return choice
    raise _none(choice)


def _none(choice: Choice) -> CalibrationError:
    wanted, best = choice.wanted, choice.chosen
    name = " > ".join(best.rungs)
    if not best.allowed(wanted):
        least = min(one.memory_mb for one in choice.ranking.chains)
        quickest = min(one.slowest_ms for one in choice.ranking.chains)
        return CalibrationError(
            "no chain of the candidates fits into the memory and the deadline: the least at the "
            f"edge is {least:.1f} MB, the least for an image that goes all the way "
            f"{quickest:.1f} ms",
            hint="Give more --memory or --deadline-ms, or smaller candidates.",
        )
    target = max(wanted.targets)
    needed = images_needed(target, best.accuracy, choice.certifying.delta)
    more = (
        "candidates that are right more often"
        if needed is None
        else f"about {needed} certifying images or more ({choice.certifying.images} are there)"
    )
    return CalibrationError(
        f"no chain of the candidates is expected to be certified for accuracy "
        f"{shown.target(target)}; the highest that {name} may reach is "
        f"{shown.lower(best.highest)}",
        hint=f"Ask for --targets up to {shown.lower(best.highest)}, or give {more}.",
    )
