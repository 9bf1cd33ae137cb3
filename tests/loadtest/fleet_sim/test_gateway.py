"""A simulated gateway takes the time that it should, shares batches, and answers each call once."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from hawkvision.errors import HawkVisionError, Overloaded
from hawkvision.serving.claims import Claim
from loadtest.bench.fleet_sim.gateway import SimulatedGateway
from loadtest.bench.fleet_sim.settings import GatewayCosts
from loadtest.bench.fleet_sim.timeline import Timeline

_COSTS = GatewayCosts(
    threads=1, slots=1, front_s=0.001, prepare_s=0.002, setup_s=0.0, each_s=0.01, spread=0.0
)
_BATCHED = GatewayCosts(
    threads=4,
    batching=True,
    slots=1,
    front_s=0.0,
    prepare_s=0.001,
    setup_s=0.05,
    each_s=0.001,
    spread=0.0,
)


@dataclass
class _Asker:
    """Notes when its answer or refusal came."""

    clock: Callable[[], float]
    claim: Claim
    cancelled: bool = False
    came: float | None = None
    error: HawkVisionError | None = None

    def ready(self, error: HawkVisionError | None) -> None:
        assert self.came is None
        self.came, self.error = self.clock(), error


def _asked(costs: GatewayCosts, times: list[float], allowed_s: float) -> list[_Asker]:
    timeline = Timeline()
    gateway = SimulatedGateway(timeline, costs, random.Random(1))
    askers = [
        _Asker(lambda: timeline.now, Claim(f"agent-{n % 7}", allowed_s=allowed_s))
        for n, _ in enumerate(times)
    ]
    for time_s, asker in zip(times, askers, strict=True):
        timeline.at(time_s, gateway.arrive, asker, allowed_s)
    timeline.run(1000.0)
    _asked.gateway = gateway  # type: ignore[attr-defined]
    return askers


def _gateway() -> SimulatedGateway:
    return _asked.gateway  # type: ignore[attr-defined,no-any-return]


def test_a_call_takes_the_loop_and_the_thread_and_the_next_one_waits() -> None:
    askers = _asked(_COSTS, [0.0, 0.0], 1.0)
    assert [one.came for one in askers] == pytest.approx([0.013, 0.025])
    assert _gateway().totals.busy_s == pytest.approx(0.024)
    assert _gateway().totals.front_s == pytest.approx(0.002)


def test_calls_that_come_together_share_a_batch() -> None:
    askers = _asked(_BATCHED, [0.0] + [0.06 + n * 1e-4 for n in range(16)], 10.0)
    assert all(one.error is None and one.came is not None for one in askers)
    sizes = _gateway().batches
    assert sum(size * count for size, count in sizes.items()) == 17
    assert sum(sizes.values()) < 10


@pytest.mark.parametrize("costs", [_COSTS, _BATCHED])
def test_under_overload_each_call_is_answered_in_time_or_refused(costs: GatewayCosts) -> None:
    each_s = 0.002 if costs.batching else 0.005
    askers = _asked(costs, [n * each_s for n in range(2000)], 0.3)
    assert all(one.came is not None for one in askers)
    answered = [n for n, one in enumerate(askers) if one.error is None]
    late = [n for n in answered if (askers[n].came or 0.0) - n * each_s > 0.3 + 1e-9]
    refused = [one for one in askers if isinstance(one.error, Overloaded)]
    assert len(answered) > 500
    assert len(late) <= 0.01 * len(answered)
    assert costs.batching or len(refused) > 500


def test_who_has_gone_is_not_served() -> None:
    timeline = Timeline()
    gateway = SimulatedGateway(timeline, _COSTS, random.Random(1))
    asker = _Asker(lambda: timeline.now, Claim("a"), cancelled=True)
    gateway.arrive(asker, 1.0)
    timeline.run(10.0)
    assert asker.came is None
    assert gateway.totals.busy_s == 0.0
