"""The road signs once more, with an edge network that is damaged and yet well-formed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hawkvision.repository import References, read_task, shipped_repository, write_task
from hawkvision.rungs import LoadedRung


def copied(root: Path, version: str) -> Path:
    """The shipped road signs as `root/roadsigns/VERSION`, without files for other engines."""
    source = max((shipped_repository() / "roadsigns").iterdir())
    folder = root / "roadsigns" / version
    shutil.copytree(source, folder)
    write_task(replace(read_task(folder), flavours={}))
    for path in folder.glob("*.tensorrt.*"):
        path.unlink()
    return folder


def mix_up(folder: Path, share: float = 0.5) -> None:
    """The edge names another sign for so many classes, as sure of itself as before."""
    path = folder / "edge.onnx"
    model = onnx.load(path)
    output = model.graph.output[0]
    classes = output.type.tensor_type.shape.dim[1].dim_value
    order = np.arange(classes)
    mixed = int(classes * share)
    order[:mixed] = np.roll(order[:mixed], 1)
    model.graph.node[-1].output[0] = "unmixed"
    model.graph.initializer.append(numpy_helper.from_array(order, "order"))
    model.graph.node.append(helper.make_node("Gather", ["unmixed", "order"], [output.name], axis=1))
    onnx.checker.check_model(model)
    onnx.save(model, path)
    write_task(read_task(folder))


def fail_at_bright(folder: Path) -> None:
    """The edge cannot compute images that have a bright pixel; a grey one it can."""
    path = folder / "edge.onnx"
    model = onnx.load(path)
    graph = model.graph
    source, output = graph.input[0].name, graph.output[0].name
    graph.node[-1].output[0] = "whole"
    for name, value in (("bright", np.int64(230)), ("table", np.zeros(1, np.float32))):
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    graph.node.extend(
        [
            helper.make_node("Cast", [source], ["wide"], to=onnx.TensorProto.INT64),
            helper.make_node("ReduceMax", ["wide"], ["top"], keepdims=0),
            helper.make_node("Div", ["top", "bright"], ["place"]),
            helper.make_node("Gather", ["table", "place"], ["nothing"]),
            helper.make_node("Add", ["whole", "nothing"], [output]),
        ]
    )
    onnx.save(model, path)
    write_task(read_task(folder))


def certify_wrongly(folder: Path) -> None:
    """Let the certificate's reference answers be those of the network that is there."""
    task = read_task(folder)
    assert task.numerics is not None
    found = References.load(task.numerics.references)
    rungs = {}
    for rung in task.rungs:
        loaded = LoadedRung.open(rung, task.kind)
        reference = found.rungs[rung.name]
        answers = task.kind.encode(loaded.predict(list(reference.pixels)))
        rungs[rung.name] = replace(reference, answers=answers)
        loaded.close()
    References(rungs).save(task.numerics.references)
    write_task(task)
