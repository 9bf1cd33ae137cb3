from __future__ import annotations

from collections.abc import Mapping

from edge_agent.dashboard.sampling import Sampler
from edge_agent.local import LocalTask
from edge_agent.metrics import AgentMetrics
from hawkvision.cascade import AccuracyTarget
from hawkvision.power import PowerSampler
from hawkvision.power.reading import Rail, Reading
from tests.edge_agent.agents import outcome, prediction


class Counted:
    """Streams whose packets are these."""

    open_streams = 1

    def __init__(self) -> None:
        self.counts = {"accepted": 0, "lost": 0}

    def packets(self) -> Mapping[str, int]:
        return self.counts


class Raised:
    """Thresholds in force that are a tenth above the certified ones."""

    def in_force(self, task: str, target: AccuracyTarget, app: str) -> AccuracyTarget:
        assert (task, app) == ("tiny@1", "")
        return AccuracyTarget(target.accuracy, target.threshold + 0.1, 0.5)


def sampler(
    metrics: AgentMetrics,
    streams: Counted | None = None,
    power: PowerSampler | None = None,
    tasks: Mapping[str, LocalTask] | None = None,
) -> Sampler:
    return Sampler(metrics, streams or Counted(), power, tasks or {}, Raised())


def test_a_tick_has_what_came_since_the_last_one(local: LocalTask) -> None:
    metrics = AgentMetrics()
    found = sampler(metrics)
    edge = prediction(1, 0.9)
    for one in (
        outcome(local, edge),
        outcome(local, edge, prediction(2, 0.99)),
        outcome(local, edge, degraded="deadline"),
    ):
        metrics.answered(one)
    metrics.refused("overloaded")
    tick = found.tick()
    assert (tick.answers, tick.escalated, tick.degraded, tick.refused) == (3, 1, 1, 1)
    assert sum(tick.times.values()) == 3
    again = found.tick()
    assert (again.answers, again.refused, again.times) == (0, 0, {})


def test_what_was_taken_for_lost_and_came_late_makes_no_negative_loss() -> None:
    streams = Counted()
    found = sampler(AgentMetrics(), streams)
    streams.counts = {"accepted": 90, "lost": 10}
    first = found.tick()
    streams.counts = {"accepted": 95, "lost": 8}
    second = found.tick()
    assert (first.packets, first.lost) == (90, 10)
    assert (second.packets, second.lost) == (5, 0)


def test_power_is_told_where_it_is_measured() -> None:
    now = iter(range(100))
    rail = Rail("board", "in", watts=7.0)
    power = PowerSampler([lambda: Reading((rail,))], clock=lambda: float(next(now)))
    power.sample()
    power.sample()
    tick = sampler(AgentMetrics(), power=power).tick()
    assert (tick.joules, tick.powered_s) == (7.0, 1.0)


def test_without_a_sensor_no_power_is_made_up() -> None:
    tick = sampler(AgentMetrics(), power=PowerSampler([])).tick()
    assert tick.powered_s == 0.0


def test_thresholds_are_those_of_targets_that_were_asked_for(local: LocalTask) -> None:
    metrics = AgentMetrics()
    found = sampler(metrics, tasks={"tiny": local})
    assert found.in_force() == []
    metrics.answered(outcome(local, prediction(1, 0.9), accuracy="0.8"))
    [one] = found.in_force()
    assert (one.task, one.target) == ("tiny", "0.8")
    assert one.threshold == one.certified + 0.1


def test_a_task_that_is_gone_has_no_thresholds(local: LocalTask) -> None:
    metrics = AgentMetrics()
    metrics.answered(outcome(local, prediction(1, 0.9)))
    assert sampler(metrics).in_force() == []
