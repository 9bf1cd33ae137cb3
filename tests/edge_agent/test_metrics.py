"""What /metrics shows, and that clients cannot make it grow."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge_agent.agent import Agent
from edge_agent.local import LocalTask
from edge_agent.metrics import AgentMetrics
from hawkvision.power import PowerSampler, Rail, Reading
from hawkvision.power.sampler import NO_SENSOR, Source
from tests.edge_agent.agents import exchange, gateway_of, outcome, prediction, request, started
from tests.models import LABELS, coloured_jpeg


async def scraped(agent: Agent) -> list[tuple[str, dict[str, str], float]]:
    text = (await exchange(agent, request("GET", "/metrics"))).body.decode()
    return [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


async def test_a_thousand_targets_make_a_bounded_number_of_series(tiny_repository: Path) -> None:
    image = coloured_jpeg("red")
    async with started(tiny_repository) as agent:
        targets = [f"relative:0.02{index:03}" for index in range(500)]
        targets += [f"relative:0.{index:03}" for index in range(1, 300)]
        targets += [f"0.{index:05}" for index in range(50_000, 60_000, 50)]
        for target in targets:
            sent = request("POST", f"/v1/classify?accuracy={target}", image)
            assert (await exchange(agent, sent)).status == 200
        answers = [
            (labels, value)
            for name, labels, value in await scraped(agent)
            if name == "hawkvision_answers_total"
        ]
    assert sum(value for _, value in answers) == len(targets)
    shown = {labels["target"] for labels, _ in answers}
    assert "other" in shown and "relative:0.02" in shown
    assert len(shown) <= 101
    assert len(answers) <= 5 * len(shown)


def test_a_target_s_first_digits_name_its_series(local: LocalTask) -> None:
    metrics = AgentMetrics()
    for accuracy in ("0.8", "0.8000001", "relative:0.0200001", "relative:0.02"):
        metrics.answered(outcome(local, prediction(0, 0.9), accuracy=accuracy))
    found = Counter(
        {
            sample.labels["target"]: sample.value
            for family in metrics.registry.collect()
            for sample in family.samples
            if sample.name == "hawkvision_answers_total"
        }
    )
    assert found == {"0.80": 2, "relative:0.02": 2}


def test_a_flood_of_targets_takes_no_series_of_an_app_with_its_key(local: LocalTask) -> None:
    metrics = AgentMetrics()
    for index in range(1, 300):
        flood = outcome(local, prediction(0, 0.9), accuracy=f"relative:0.{index:03}")
        metrics.answered(flood)
    metrics.answered(outcome(local, prediction(0, 0.9), accuracy="0.8", app="+gate"))
    found = {
        sample.labels["target"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "hawkvision_answers_total"
    }
    assert len(found) == 102 and {"0.80", "other"} <= found


def test_gauges_of_targets_that_nobody_asks_for_any_more_go(local: LocalTask) -> None:
    metrics = AgentMetrics()
    labels = {"task": "tiny", "target": "0.8", "what": "delivered"}

    def shown() -> float | None:
        return metrics.registry.get_sample_value("hawkvision_accuracy", labels)

    metrics.set_accuracy("tiny", {"0.8": {"delivered": 0.9, "threshold": 0.5}})
    metrics.set_accuracy("other", {"0.8": {"delivered": 0.7}})
    assert shown() == 0.9
    metrics.set_accuracy("tiny", {"0.9": {"delivered": 0.95}})
    assert shown() is None
    assert metrics.registry.get_sample_value("hawkvision_accuracy", labels | {"task": "other"})


async def test_refusals_are_counted_by_code_and_never_by_what_was_asked(
    tiny_repository: Path,
) -> None:
    async with started(tiny_repository) as agent:
        for index in range(30):
            await exchange(agent, request("GET", f"/v1/tasks/none-{index}"))
            await exchange(agent, request("GET", f"/v1/apps/none-{index}"))
            await exchange(agent, request("POST", f"/v1/classify?task=none-{index}", b"x"))
        found = {
            labels["code"]: value
            for name, labels, value in await scraped(agent)
            if name == "hawkvision_errors_total"
        }
    assert found == {"unknown_task": 60, "unknown_app": 30}


async def test_the_time_of_an_answer_counts_from_the_request_s_arrival(
    tiny_repository: Path,
) -> None:
    image = coloured_jpeg("red")
    async with started(tiny_repository) as agent:
        sent = request("POST", "/v1/classify?accuracy=0.5", image)
        await exchange(agent, sent[:-5], sent[-5:], pause_s=0.3)
        values = {name: value for name, _, value in await scraped(agent)}
        text = (await exchange(agent, request("GET", "/metrics"))).body.decode()
    assert values["hawkvision_request_seconds_sum"] >= 0.3
    assert "# HELP hawkvision_request_seconds Time from the arrival of a request" in text


async def test_probes_run_and_are_counted_without_a_store(
    tiny_repository: Path, tmp_path: Path
) -> None:
    for index, label in enumerate(LABELS):
        (tmp_path / label).mkdir()
        (tmp_path / label / "0.jpg").write_bytes(coloured_jpeg(label, seed=index))
    async with gateway_of(tiny_repository) as address:
        settings = {"store": "off", "probes": tmp_path, "probe_every_s": 0.01}
        async with started(tiny_repository, gateway=address, **settings) as agent:
            found: dict[str, float] = {}
            while found.get("hawkvision_probes_total", 0) < 8:
                found = {name: value for name, _, value in await scraped(agent)}
    assert "hawkvision_probe_errors_total" in found


def moving_sensor() -> Source:
    """A package whose counter goes on by 5 J a reading, and a part of it."""
    joules = itertools.count(0.0, 5.0)

    def read() -> Reading:
        rails = (
            Rail("rapl", "package-0", joules=next(joules)),
            Rail("rapl", "package-0 core", 1.5, counted=False),
        )
        return Reading(rails, {"k10temp Tctl": 61.0})

    return read


async def test_power_energy_and_temperature_are_exported(
    tiny_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler = PowerSampler([moving_sensor()], every_s=3600.0)
    monkeypatch.setattr("edge_agent.agent.PowerSampler.of_machine", lambda: sampler)
    async with started(tiny_repository) as agent:
        told = json.loads((await exchange(agent, request("GET", "/v1/power"))).body)
        found = {
            (name, *sorted(labels.values())): value
            for name, labels, value in await scraped(agent)
            if "watts" in name or "joules" in name or "celsius" in name
        }
    assert (told["measured"], told["joules"]) == (True, 5.0)
    assert found.pop(("hawkvision_power_watts", "rapl")) > 0
    assert found.pop(("hawkvision_rail_power_watts", "package-0", "rapl", "true")) > 0
    assert found == {
        ("hawkvision_energy_joules_total", "rapl"): 5.0,
        ("hawkvision_rail_power_watts", "false", "package-0 core", "rapl"): 1.5,
        ("hawkvision_temperature_celsius", "k10temp Tctl"): 61.0,
    }
    assert "power" not in {thread.name for thread in threading.enumerate()}


async def test_without_sensors_nothing_is_shown_as_zero(
    tiny_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.agent.PowerSampler.of_machine", lambda: PowerSampler([]))
    async with started(tiny_repository) as agent:
        told = json.loads((await exchange(agent, request("GET", "/v1/power"))).body)
        names = {name for name, _, _ in await scraped(agent)}
    assert (told["measured"], told["reason"]) == (False, NO_SENSOR)
    assert not {name for name in names if "watts" in name or "joules" in name}


async def test_by_what_an_edge_rung_is_computed_is_said(tiny_repository: Path) -> None:
    async with started(tiny_repository) as agent:
        reply = await exchange(agent, request("GET", "/v1/tasks/tiny"))
        (shown,) = [
            labels for name, labels, _ in await scraped(agent) if name == "hawkvision_engine_info"
        ]
    said = json.loads(reply.body)["engine"]
    assert (said["asked"], said["device"]) == ("onnx", "cpu")
    assert "this ONNX Runtime has no TensorRT and no CUDA" in said["reason"]
    assert (shown["task"], shown["rung"]) == ("tiny", "edge")
    assert {key: shown[key] for key in said if key != "measured"} == {
        key: value for key, value in said.items() if key != "measured"
    }
