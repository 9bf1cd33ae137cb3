"""Bets on pairs of answers: false alarms as rare as promised, harm found soon."""

from __future__ import annotations

import math
import random
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hawkvision.updates.release import Rollout
from hawkvision.updates.verdict import Evidence, Pair, Verdict
from tests.updates.pairs import main as simulated_pairs

WORSE, BETTER = Pair(0.0, 1.0), Pair(1.0, 0.0)
RUNS = 400


def after(pairs: list[Pair], rollout: Rollout | None = None, agents: int = 1) -> Evidence:
    found = Evidence(rollout or Rollout(), agents)
    for pair in pairs:
        found = found.see(pair)
    return found


def run(
    rng: random.Random, worse: float, better: float, steps: int, rollout: Rollout, slow: float = 0.0
) -> tuple[Verdict, int]:
    """The first verdict over pairs that favour the old or the new with these chances."""
    found = Evidence(rollout)
    for step in range(1, steps + 1):
        roll = rng.random()
        pair = WORSE if roll < worse else BETTER if roll < worse + better else Pair.same()
        if slow:
            pair = Pair(pair.old, pair.new, 1.0, 3.0 if rng.random() < slow else 1.0)
        found = found.see(pair)
        if found.verdict is not Verdict.OPEN:
            return found.verdict, step
    return Verdict.OPEN, steps


def at_most(share: float) -> int:
    """So many of RUNS at most, but for 1 chance in 10,000, if each has the chance `share`."""
    return math.ceil(RUNS * share + 3.8 * math.sqrt(RUNS * share * (1 - share)))


@pytest.mark.parametrize("discordant", [0.02, 0.2, 1.0])
def test_a_version_that_is_no_worse_is_rarely_halted(discordant: float) -> None:
    rng = random.Random(1)
    rollout = Rollout(alpha=0.1, least_pairs=1_000_000, slower=2.0)
    half = discordant / 2
    ends = [run(rng, half, half, 300, rollout, slow=0.5)[0] for _ in range(RUNS)]
    assert ends.count(Verdict.WORSE) + ends.count(Verdict.SLOWER) <= at_most(0.1)


def test_a_version_that_is_worse_by_epsilon_rarely_passes() -> None:
    rng = random.Random(2)
    rollout = Rollout(alpha=0.1, epsilon=0.1, least_pairs=1, slower=0)
    ends = [run(rng, 0.15, 0.05, 400, rollout)[0] for _ in range(RUNS)]
    assert ends.count(Verdict.PASSES) <= at_most(0.1)


def test_harm_is_found_soon() -> None:
    rng = random.Random(3)
    runs = [run(rng, 0.4, 0.02, 2000, Rollout()) for _ in range(100)]
    assert {verdict for verdict, _ in runs} == {Verdict.WORSE}
    assert sorted(step for _, step in runs)[50] < 40


def test_small_harm_is_found_in_the_end() -> None:
    rng = random.Random(4)
    ends = [run(rng, 0.08, 0.02, 2000, Rollout(), 0.0)[0] for _ in range(50)]
    assert ends.count(Verdict.WORSE) >= 48


def test_equal_versions_pass() -> None:
    found = after([Pair.same()] * 400)
    assert found.verdict is Verdict.PASSES
    rng = random.Random(5)
    ends = [run(rng, 0.01, 0.03, 2000, Rollout())[0] for _ in range(50)]
    assert ends.count(Verdict.PASSES) >= 48


def test_slowness_alone_halts() -> None:
    found = after([Pair(0.0, 0.0, 1.0, 2.5)] * 20)
    assert found.verdict is Verdict.SLOWER
    assert after([Pair(0.0, 0.0, 1.0, 1.9)] * 200).verdict is not Verdict.SLOWER
    assert after([Pair(0.0, 0.0, 1.0, 9.0)] * 200, Rollout(slower=0)).verdict is Verdict.OPEN


def test_what_nobody_judges_lets_no_version_pass_and_halts_none() -> None:
    pairs = [Pair(None, None)] * 100 + [Pair.same()] * 900
    found = after(pairs)
    assert found.verdict is Verdict.OPEN
    assert (found.pairs, found.unjudged, found.worse) == (1000, 100, 0)


def test_agents_of_a_fleet_share_the_risk() -> None:
    pairs = [WORSE] * 11
    assert after(pairs).verdict is Verdict.WORSE
    assert after(pairs, agents=1000).verdict is Verdict.OPEN
    assert after(pairs * 2, agents=1000).verdict is Verdict.WORSE


def test_before_the_least_number_of_pairs_nothing_passes() -> None:
    assert after([BETTER] * 100).verdict is Verdict.OPEN
    assert after([BETTER] * 200).verdict is Verdict.PASSES


losses = st.floats(0, 1)
pairs_of = st.lists(st.builds(Pair, losses, losses), max_size=40)


@given(pairs_of, losses, losses)
def test_evidence_of_harm_only_grows(pairs: list[Pair], old: float, new: float) -> None:
    """What one has seen is not forgotten: a look later never takes an alarm back."""
    before = after(pairs)
    later = before.see(Pair(old, new))
    assert later.p_worse <= before.p_worse
    assert later.p_unsafe <= before.p_unsafe
    assert 0 <= later.p_worse <= 1


ROUNDED = 1e-9
"""Sums of logarithms are rounded: losses a bit apart may come out the other way round."""


@given(pairs_of)
@example([Pair(0.75, 0.9999999999999999), Pair(0.6875, 1.0)])
def test_worse_pairs_never_look_better(pairs: list[Pair]) -> None:
    harsher = [Pair(pair.old, 1.0) for pair in pairs]
    assert after(harsher).p_worse <= after(pairs).p_worse * (1 + ROUNDED)
    assert after(harsher).p_unsafe >= after(pairs).p_unsafe * (1 - ROUNDED)


@given(st.floats(allow_nan=True).filter(lambda value: not 0 <= value <= 1))
def test_a_loss_outside_its_range_is_an_error(loss: float) -> None:
    with pytest.raises(ValueError, match="not in"):
        Evidence(Rollout()).see(Pair(0.0, loss))


def test_the_documents_figures_are_those_of_the_simulation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "updates.md").read_text("utf-8")
    written = re.findall(r"^\| [^|]+ \| (passes|worse) \| (\d+) \|$", page, re.MULTILINE)
    simulated_pairs()
    said = re.findall(r": 40 (\w+); ([\d.]+) pairs", capsys.readouterr().out)
    assert [(verdict, round(float(pairs) + 1e-9)) for verdict, pairs in said] == [
        (verdict, int(pairs)) for verdict, pairs in written
    ]
