"""How many pairs a verdict takes: `python -m tests.updates.pairs`."""

from __future__ import annotations

import random
from statistics import median

from hawkvision.updates.release import Rollout
from hawkvision.updates.verdict import Evidence, Pair, Verdict

RUNS = 40
CASES = ((0.0, 0.0), (0.01, 0.01), (0.025, 0.025), (0.41, 0.01), (0.11, 0.01), (0.06, 0.01))
"""Chances that a pair favours the old version, and the new one."""


def run(seed: int, worse: float, better: float) -> tuple[Verdict, int]:
    """A verdict at the default settings, and after how many pairs."""
    rng, found, pairs = random.Random(seed), Evidence(Rollout()), 0
    while found.verdict is Verdict.OPEN:
        roll = rng.random()
        if roll < worse:
            pair = Pair(0.0, 1.0)
        else:
            pair = Pair(1.0, 0.0) if roll < worse + better else Pair.same()
        found, pairs = found.see(pair), pairs + 1
    return found.verdict, pairs


def main() -> None:
    """One line for each case."""
    for worse, better in CASES:
        runs = [run(seed, worse, better) for seed in range(RUNS)]
        verdicts = [str(verdict) for verdict, _ in runs]
        said = ", ".join(f"{verdicts.count(one)} {one}" for one in sorted(set(verdicts)))
        print(f"worse {worse:g}, better {better:g}: {said}; {median(n for _, n in runs):g} pairs")


if __name__ == "__main__":
    main()
