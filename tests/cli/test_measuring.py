"""Costs from what was measured of processes; the measuring itself is in `test_plan.py`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hawkvision.cli.measuring import Measuring, Phase, costs_of
from hawkvision.planning.costs import EdgeCosts, GatewayCosts, gateway_costs
from hawkvision.repository import Repository, shipped_repository

_TASK = Repository(shipped_repository()).open("imagenette")


def _measuring(rate: float, calls: float) -> Measuring:
    return Measuring(_TASK, Path(), [b"image"], rate, calls)


def _costs(local: Phase) -> tuple[EdgeCosts, GatewayCosts]:
    """The edge takes 1 ms of what follows at once, 2.5 ms to escalate as well; the gateway 6."""
    warm = Phase(1.0, 0.0, np.full(50, 1.0), Counter({0: 50}))
    up = Phase(4.5, 6.0, np.full(50, 14.0), Counter({1: 50}))
    up_warm = Phase(3.5, 5.4, np.full(50, 11.0), Counter({1: 50}))
    return costs_of(_measuring(80.0, 8.0), (0.01, 0.02), local, warm, up, up_warm)


def test_answers_of_the_edge_alone() -> None:
    edge, gateway = _costs(Phase(1.6, 0.0, np.linspace(1.0, 3.0, 101), Counter({0: 101})))
    assert edge.first.cpu_ms == pytest.approx(1.6) and edge.first.warm == pytest.approx(1 / 1.6)
    assert edge.first.mean_ms == pytest.approx(2.0) and edge.escalate.cpu_ms == 2.5
    assert (edge.idle_cores, gateway.idle_cores) == (0.01, 0.02)
    known = gateway_costs(_TASK)
    assert gateway.call.cpu_ms + gateway.rungs[0].cpu_ms == pytest.approx(6.0)
    assert gateway.call.cpu_ms / gateway.rungs[0].cpu_ms == pytest.approx(
        known.call.cpu_ms / known.rungs[0].cpu_ms
    )
    assert gateway.call.warm == pytest.approx(0.9)


def test_what_escalated_beside_them_is_taken_off() -> None:
    """A tenth takes 2.5 ms more: what is left is theirs, colder caches too."""
    mixed = Phase(2.0, 0.6, np.linspace(1.0, 3.0, 101), Counter({0: 101}), 0.1)
    assert _costs(mixed)[0].first.cpu_ms == pytest.approx(1.75)


def test_as_many_escalate_meanwhile_as_in_the_plan_but_for_half_at_most() -> None:
    assert _measuring(80.0, 8.0).up_share == pytest.approx(0.1)
    assert _measuring(80.0, 80.0).up_share == 0.5
