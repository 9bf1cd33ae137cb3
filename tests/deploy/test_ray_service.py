"""The manifest for KubeRay: Kubernetes' schemas take its pods and its service.

KubeRay's own schema of a RayService is not here, so what is between them is not checked.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.deploy.tools import ROOT, run, tool

MANIFEST = ROOT / "docs" / "deploy" / "ray" / "rayservice.yaml"


def test_kubernetes_takes_the_pods_and_the_service(tmp_path: Path) -> None:
    validate = tool("kubernetes-validate")
    ray, service = yaml.safe_load_all(MANIFEST.read_text("utf-8"))
    cluster = ray["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    pods = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ray"}} | group["template"]
        for group in groups
    ]
    assert len(pods) == 2
    made = tmp_path / "made.yaml"
    made.write_text(yaml.safe_dump_all([*pods, service]))
    run(validate, "-k", "1.31", "--strict", made)
