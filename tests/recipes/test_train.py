"""Training by the process's own time, and teachers without checkpoints. Needs torch."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed (extra train)")

import click
import onnx
import torch

from hawkvision.engines import ModelSpec, open_engine
from hawkvision.repository import Repository, shipped_repository
from models.recipes.floats import as_floats
from models.recipes.samples import Sample
from models.recipes.shipped import float_net
from models.recipes.specs import RECIPES, Distillation
from models.recipes.train import Run, load_teacher, to_tensor


def test_a_pause_uses_up_no_training_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(RECIPES["roadsigns", "edge"], 3, "cpu")
    steps: list[float] = []

    def step(batch: list[Sample], progress: float) -> float:
        if not steps:
            time.sleep(0.4)  # longer than the budget
        used = time.process_time()
        while time.process_time() - used < 0.05:
            pass
        steps.append(progress)
        return 0.0

    monkeypatch.setattr(run, "step", step)
    torch.set_num_threads(1)
    run.train([Sample(b"", 0)] * 640, 0.3, tmp_path / "run.pt", 60)
    assert len(steps) > 1
    assert steps == sorted(steps)


def test_a_teacher_without_checkpoint_is_the_shipped_network(tmp_path: Path) -> None:
    path = Repository(shipped_repository()).open("imagenette").rung("edge").model.path
    net = float_net(RECIPES["imagenette", "edge"].net, 10, path)
    onnx.save(as_floats(onnx.load(path)), tmp_path / "floats.onnx")
    engine = open_engine(ModelSpec(tmp_path / "floats.onnx", "NHWC", "uint8"))
    images = np.random.default_rng(1).integers(0, 256, (2, 128, 128, 3)).astype(np.uint8)
    with torch.no_grad():
        found = net(to_tensor(images)).numpy()
    np.testing.assert_allclose(
        found, engine.infer(images.transpose(0, 3, 1, 2))["logits"], atol=1e-4
    )
    engine.close()
    with pytest.raises(ValueError, match="does not hold"):
        float_net(RECIPES["imagenette", "dc"].net, 10, path)


def test_a_teacher_that_is_nowhere_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RECIPES["imagenette", "edge"]
    assert load_teacher(recipe, 10, tmp_path, "cpu") is not None  # the shipped large rung
    monkeypatch.setattr("models.recipes.ladder.variants.FILES", tmp_path)
    nowhere = dataclasses.replace(recipe, distillation=Distillation("tiny"))
    with pytest.raises(click.UsageError, match="train that first"):
        load_teacher(nowhere, 10, tmp_path, "cpu")
