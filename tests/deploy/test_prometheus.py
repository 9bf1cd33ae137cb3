"""Alert rules and the dashboard: the checkers take them, and what they ask for exists."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator

import yaml

from edge_agent.metrics import AgentMetrics
from tests.deploy.tools import DEPLOY, ROOT, run, tool

FOLDER = DEPLOY / "prometheus"
NAME = re.compile(r"\bhawkvision_[a-z_]+")


def expressions() -> Iterator[str]:
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text())
    for group in rules["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    dashboard = json.loads((DEPLOY / "grafana" / "hawkvision.json").read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))


def exported() -> set[str]:
    """Names of families as the code words them; histograms and counters add an ending."""
    found = subprocess.run(
        ["grep", "-rhoE", '"hawkvision_[a-z_]+"', "hawkvision", "edge_agent", "dc_gateway"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = {line.strip('"') for line in found.split()}
    names |= {f"hawkvision_{one}" for one in ("queue_images", "connections", "streams")}
    return names | {"hawkvision_gateway_breaker_open"}


def test_promtool_takes_the_rules_and_each_fires_where_it_should() -> None:
    promtool = tool("promtool")
    run(promtool, "check", "rules", "alerts.yml", cwd=FOLDER)
    run(promtool, "test", "rules", "alerts_test.yml", cwd=FOLDER)
    run(promtool, "check", "config", "--syntax-only", "prometheus.yml", cwd=FOLDER)


def test_every_alert_has_a_test_that_fires_it() -> None:
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text())
    tests = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
    fired = {
        one["alertname"] for test in tests for one in test["alert_rule_test"] if one["exp_alerts"]
    }
    assert {rule["alert"] for group in rules["groups"] for rule in group["rules"]} == fired


def test_every_metric_that_is_asked_for_is_exported() -> None:
    known = exported()
    asked = {name for text in expressions() for name in NAME.findall(text)}
    assert len(asked) > 20
    plain = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in asked}
    assert plain <= known, plain - known


def test_labels_that_are_asked_for_exist() -> None:
    metrics = AgentMetrics()
    metrics.job_failed("flush")
    metrics.refused("overloaded")
    shown = {
        sample.name: set(sample.labels)
        for family in metrics.registry.collect()
        for sample in family.samples
    }
    assert shown["hawkvision_job_failures_total"] == {"work"}
    assert shown["hawkvision_errors_total"] == {"code"}
    for labels in shown.values():  # Prometheus gives these to every series itself
        assert not labels & {"job", "instance"}


def test_panels_do_not_overlap() -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "hawkvision.json").read_text())
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
