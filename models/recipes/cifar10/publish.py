"""Publish the task cifar10: `python -m models.recipes.cifar10.publish --data cifar10.tar.gz`.

The edge rung is the integer network of the trained `quant-accurate`, as a file for CPUs and as one
for the FPGA with its plan; `quant-fast` becomes the plan of the profile `fast`. Two thirds of the
test images, by the hash of their names, calibrate; all of them report.
"""

from __future__ import annotations

import dataclasses
import json
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import onnx
import torch

from fpga.network.cpu_model import cpu_model
from fpga.network.network import Network
from fpga.network.plan import Plan, save_plan
from fpga.network.profiles import first_plan
from fpga.network.qonnx import import_qonnx
from fpga.network.streamline import streamline
from fpga.tools.cache import cache_folder
from fpga.tools.fifos import size_fifos
from hawkvision.calibration import CalibrationScores, shown
from hawkvision.datasets import LabelledSet, open_labelled
from hawkvision.repository import Task, read_task, write_task
from hawkvision.taskbuild.build import BuildRequest, Progress, build_task
from hawkvision.taskbuild.sources import ModelSource
from hawkvision.tasks.classification import softmax
from models.recipes.cifar10 import data as pictures
from models.recipes.cifar10.export import SIDE, FoldedAirbench, write_qonnx
from models.recipes.cifar10.large import load_large
from models.recipes.cifar10.nets import BLOCKS, QuantResNet
from models.recipes.cifar10.train import to_input
from models.recipes.export import export_int8
from models.recipes.held_out import target_rows, thirds
from models.recipes.nets import count_macs, count_parameters
from models.recipes.samples import Sample

LEAST_AGREEMENT = 0.999
QUANTIZATION_IMAGES = 256
TARGETS = (0.80, 0.85, 0.88, 0.89, 0.90, 0.91, 0.92)
TRAINED = Path(__file__).parent / "trained"


def integer_network(
    profile: str, checkpoints: Path, x: torch.Tensor, y: torch.Tensor
) -> tuple[Network, dict[str, Any]]:
    """Export to QONNX, read that again, compare both on the test images uint8 [N,3,32,32]."""
    name = f"quant-{profile}"
    net = QuantResNet(BLOCKS[profile])
    net.load_state_dict(torch.load(checkpoints / f"{name}.pt", weights_only=False)["net"])
    TRAINED.mkdir(exist_ok=True)
    path = TRAINED / f"{profile}.qonnx"
    write_qonnx(net, path)
    network = streamline(import_qonnx(path), f"cifar10-{profile}", SIDE)
    with torch.no_grad():
        wanted = torch.cat([net(to_input(part)).argmax(1) for part in x.split(250)]).numpy()
    rows = x.permute(0, 2, 3, 1).numpy()
    parts = [network(rows[start : start + 250]) for start in range(0, len(rows), 250)]
    found = np.concatenate(parts).argmax(axis=1)
    agreement = float((found == wanted).mean())
    if agreement < LEAST_AGREEMENT:
        raise click.ClickException(f"{profile}: only {agreement:.2%} as trained")
    truth = y.numpy()
    record = {
        **json.loads((checkpoints / f"{name}.json").read_text()),
        "start": json.loads((checkpoints / "float-accurate.json").read_text()),
        "trained_top1": round(float((wanted == truth).mean()), 4),
        "integer_top1": round(float((found == truth).mean()), 4),
        "agreement": round(agreement, 5),
        "test_images": len(truth),
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "macs": sum(part.conv.macs(part.side) for part in network.convolutions()),
        "digest": f"{network.digest:08x}",
    }
    return network, record


def planned(network: Network, profile: str) -> Plan:
    """Folding for the profile, FIFOs from simulation."""
    return size_fifos(first_plan(network, profile), cache_folder()).plan


def data_center_model(
    checkpoints: Path, train: torch.Tensor, labels: list[str], out: Path
) -> dict[str, Any]:
    """The large rung in int8; each picture and its mirror image are averaged. What it costs."""
    net = FoldedAirbench(load_large(checkpoints, "dc")).eval()
    order = np.random.default_rng(pictures.SEED).permutation(len(train))[:QUANTIZATION_IMAGES]
    rows = train[order].permute(0, 2, 3, 1).numpy()
    with tempfile.TemporaryDirectory() as scratch:
        model = export_int8(net, SIDE, iter(rows), Path(scratch), mirror=True, labels=labels)
    onnx.save(model, out)
    macs = 2 * count_macs(net, (3, SIDE, SIDE))
    return {"mirror_averaging": True, "parameters": count_parameters(net), "macs": macs}


def answers(path: Path, rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Logits of a file for uint8 [N,32,32,3]."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    parts = [
        session.run(None, {"image": rows[start : start + 100]})[0]
        for start in range(0, len(rows), 100)
    ]
    return np.concatenate(parts)


def reported_targets(
    task: Task, scores: CalibrationScores, data: LabelledSet
) -> list[dict[str, Any]]:
    """What each target gives on images that did not calibrate."""
    images = [Sample(image.data, task.kind.truth(image.label)) for image in data]
    rows = np.stack([image.decode() for image in images])
    truth = np.array([image.class_id for image in images])
    edge, dc = (answers(rung.model.path, rows) for rung in task.rungs)
    confidence = softmax(edge, task.rungs[0].head.temperature).max(axis=1)
    right = [logits.argmax(axis=1) == truth for logits in (edge, dc)]
    return target_rows(scores, TARGETS, confidence, *right)


def measured_of(records: dict[str, Any]) -> dict[str, dict[str, float]]:
    """What is known of each rung, on all test images."""
    return {
        "edge": {
            "accuracy": records["accurate"]["integer_top1"],
            "parameters": records["accurate"]["parameters"],
            "mmac": round(records["accurate"]["macs"] / 1e6, 1),
        },
        "dc": {
            "accuracy": records["dc"]["int8_top1"],
            "parameters": records["dc"]["parameters"],
            "mmac": round(records["dc"]["macs"] / 1e6, 1),
        },
    }


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--checkpoints", type=click.Path(path_type=Path), default=Path("build/train/cifar10"))
@click.option("--repository", type=click.Path(path_type=Path), default=Path("models/zoo"))
def main(data: Path, checkpoints: Path, repository: Path) -> None:
    """Write the next version of the task cifar10."""
    torch.set_num_threads(1)
    labels, x, y = pictures.load(data, "test")
    _, train, _ = pictures.load(data, "train")
    calibrating, reporting = thirds(open_labelled(data, "test"))
    networks, records = {}, {}
    for profile in BLOCKS:
        networks[profile], records[profile] = integer_network(profile, checkpoints, x, y)
        print(profile, records[profile], flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        edge, dc = Path(scratch) / "edge.onnx", Path(scratch) / "dc.onnx"
        onnx.save(cpu_model(networks["accurate"], labels), edge)
        records["dc"] = data_center_model(checkpoints, train, labels, dc)
        sources = tuple(
            ModelSource(path, fit="stretch", output="logits", name=path.stem) for path in (edge, dc)
        )
        description = "CIFAR-10; the edge rung runs on CPUs and, bit for bit the same, on an FPGA."
        built = build_task(
            BuildRequest("cifar10", sources, calibrating, description=description, threads=1),
            repository,
            Progress(),
        )
    folder = built.task.folder
    for profile, name in (("accurate", "edge"), ("fast", "fast")):
        save_plan(planned(networks[profile], profile), folder / f"{name}.fpga.npz")
    large = answers(folder / "dc.onnx", x.permute(0, 2, 3, 1).numpy())
    records["dc"] = {
        **json.loads((checkpoints / "dc.json").read_text()),
        "start": json.loads((checkpoints / "teacher.json").read_text()),
        "int8_top1": round(float((large.argmax(axis=1) == y.numpy()).mean()), 4),
        **records["dc"],
    }
    measured = measured_of(records)
    task = read_task(folder)
    rungs = tuple(
        dataclasses.replace(rung, measured={**rung.measured, **measured[rung.name]})
        for rung in task.rungs
    )
    write_task(dataclasses.replace(task, rungs=rungs))
    record = {
        "task": "cifar10",
        "rungs": records,
        "notes": list(built.notes),
        "images": {"thresholds": len(built.scores), "report": len(reporting)},
        "highest_certifiable": shown.floored(built.scores.curve().highest_certifiable, 4),
        "targets_reported": reported_targets(built.task, built.scores, reporting),
        "command": "python -m models.recipes.cifar10.publish --data cifar10.tar.gz",
        "machine": f"{platform.machine()}, one thread, torch {torch.__version__}",
        "date": time.strftime("%Y-%m-%d"),
    }
    (folder / "training.json").write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record["targets_reported"], indent=2))


if __name__ == "__main__":
    main()
