"""The chart: helm takes it, Kubernetes' schemas and the services take what it makes."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from dc_gateway.command import command as gateway_command
from edge_agent.command import command as edge_command
from hawkvision.serving.config_file import _options
from tests.deploy.tools import DEPLOY, run, tool

CHART = DEPLOY / "helm" / "hawkvision"
WAYS = {
    "defaults": "",
    "insecure": "insecure=true",
    "Redis, monitors, models": (
        "store=rediss://hawkvision@redis:6379/0,serviceMonitor.enabled=true,"
        "gateway.models.hostPath.path=/m,edge.models.hostPath.path=/m,edge.workers=2"
    ),
    "gateways elsewhere": "gateway.enabled=false,gateways={a:8001,b:8001},store=memory",
    "one replica": "gateway.autoscaling.enabled=false,gateway.replicas=1",
    "KubeRay": "ray.enabled=true,ray.image=registry.example/ray:1",
}


def made(values: str, folder: Path) -> tuple[Path, list[dict[str, Any]]]:
    more = ["--set", values] if values else []
    text = run(tool("helm"), "template", "site", CHART, *more)
    there = folder / "made.yaml"
    there.write_text(text)
    return there, [one for one in yaml.safe_load_all(text) if one]


def test_lint() -> None:
    said = run(tool("helm"), "lint", "--strict", CHART)
    assert "[WARNING]" not in said and "[ERROR]" not in said


@pytest.mark.parametrize("way", WAYS)
def test_kubernetes_takes_what_it_makes(way: str, tmp_path: Path) -> None:
    validate = tool("kubernetes-validate")
    there, found = made(WAYS[way], tmp_path)
    assert len(found) >= 3
    known = tmp_path / "known.yaml"
    known.write_text(
        yaml.safe_dump_all(
            one for one in found if one["kind"] not in ("RayService", "ServiceMonitor")
        )
    )
    run(validate, "-k", "1.31", "--strict", known)
    assert there.exists()


@pytest.mark.parametrize("way", WAYS)
def test_the_services_know_every_line_of_their_files(way: str, tmp_path: Path) -> None:
    _, found = made(WAYS[way], tmp_path)
    (config,) = (one for one in found if one["kind"] == "ConfigMap")
    for name, text in config["data"].items():
        command = edge_command if name == "edge.toml" else gateway_command
        lines = tomllib.loads(text)
        assert lines["host"] == "0.0.0.0"
        assert type(lines["port"]) is int
        assert set(lines) <= set(_options(command))


@pytest.mark.parametrize("way", WAYS)
def test_every_pod_is_confined(way: str, tmp_path: Path) -> None:
    _, found = made(WAYS[way], tmp_path)
    for one in found:
        if one["kind"] not in ("DaemonSet", "Deployment"):
            continue
        spec = one["spec"]["template"]["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        for container in spec["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert {"requests", "limits"} <= set(container["resources"])


def test_a_value_that_sets_nothing_is_refused() -> None:
    with pytest.raises(AssertionError, match="prot"):
        run(tool("helm"), "template", "site", CHART, "--set", "edge.prot=1")
