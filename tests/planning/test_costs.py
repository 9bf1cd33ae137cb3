"""Steps, and what they are made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.errors import InvalidRequest
from hawkvision.planning.cost_files import as_json, read_edge, read_gateway
from hawkvision.planning.costs import (
    Step,
    edge_costs,
    gateway_costs,
    log_normal,
    of_times,
    slower_edge,
    steady,
)
from hawkvision.repository import Repository, shipped_repository

_QUANTILES = (np.arange(10_000) + 0.5) / 10_000


@given(st.floats(0.01, 100), st.floats(1, 10))
def test_a_log_normal_step_has_its_median_and_tail(median: float, spread: float) -> None:
    step = log_normal(median, median * spread)
    drawn = step.last(_QUANTILES)
    assert np.median(drawn) == pytest.approx(median, rel=1e-4)
    assert np.quantile(drawn, 0.99) == pytest.approx(median * spread, rel=0.01 * spread)
    assert step.cpu_ms == pytest.approx(drawn.mean(), rel=1e-2)


def test_processor_time_follows_how_long_a_step_lasts() -> None:
    step = of_times([1.0, 2.0, 3.0, 6.0], 1.5)
    lasted = step.last(_QUANTILES)
    assert step.busy(lasted).mean() == pytest.approx(1.5, rel=1e-3)
    assert (lasted.min(), lasted.max()) == (pytest.approx(1.0, abs=0.1), pytest.approx(6, abs=0.1))


def test_a_step_without_time_takes_its_processor_time() -> None:
    assert Step(0.5, (0.0,)).busy(np.zeros(3)).tolist() == [0.5] * 3
    assert log_normal(0.0, 0.0) == steady(0.0)


@pytest.mark.parametrize("times", [(), (-1.0,), (float("nan"),), (float("inf"),)])
def test_no_step(times: tuple[float, ...]) -> None:
    with pytest.raises(InvalidRequest):
        Step(1.0, times)


def test_costs_of_a_task_hold_its_networks() -> None:
    task = Repository(shipped_repository()).open("imagenette")
    edge, gateway = edge_costs(task), gateway_costs(task)
    assert edge.first.cpu_ms > task.rungs[0].measured["milliseconds"]
    assert len(edge.rungs) == len(gateway.rungs) == 1
    assert gateway.rungs[0].cpu_ms > task.rungs[1].measured["milliseconds"]
    twice = slower_edge(edge, 2.0)
    assert twice.first.cpu_ms == pytest.approx(2 * edge.first.cpu_ms)
    assert twice.rungs[0].mean_ms == pytest.approx(2 * edge.rungs[0].mean_ms)


def _written(folder: Path) -> tuple[Path, dict[str, Any]]:
    task = Repository(shipped_repository()).open("roadsigns")
    body = {"costs": as_json(edge_costs(task), gateway_costs(task), "roadsigns")}
    path = folder / "costs.json"
    path.write_text(json.dumps(body))
    return path, body


def test_a_file_of_costs_is_read_as_it_was_written(tmp_path: Path) -> None:
    task = Repository(shipped_repository()).open("roadsigns")
    path, _ = _written(tmp_path)
    assert read_edge(path, "roadsigns", 2) == edge_costs(task)
    assert read_gateway(path, "roadsigns", 2) == gateway_costs(task)


def test_costs_of_another_task_are_refused(tmp_path: Path) -> None:
    path, _ = _written(tmp_path)
    with pytest.raises(InvalidRequest, match="of task 'roadsigns', not of 'cifar10'"):
        read_edge(path, "cifar10", 2)
    with pytest.raises(InvalidRequest, match="2 rungs above"):
        read_edge(path, "roadsigns", 3)


@pytest.mark.parametrize(
    ("key", "value"),
    [("cpu_ms", -1), ("cpu_ms", "1"), ("cpu_ms", True), ("cpu_ms", 1e300), ("warm", 1.5),
     ("ms", []), ("ms", 1), ("ms", [2.0, 1.0]), ("ms", [None]), ("ms", [1.0] * 10_001)],
)  # fmt: skip
def test_a_damaged_file_of_costs_is_refused(tmp_path: Path, key: str, value: object) -> None:
    path, body = _written(tmp_path)
    body["costs"]["edge"]["first"][key] = value
    path.write_text(json.dumps(body))
    with pytest.raises(InvalidRequest):
        read_edge(path, "roadsigns", 2)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["costs", "edge", "task", "first"]), inner)
        ),
    )
)
def test_any_json_is_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, body: object
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(body))
    for read in (read_edge, read_gateway):
        with pytest.raises(InvalidRequest):
            read(path, "roadsigns", 2)
