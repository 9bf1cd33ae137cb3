"""`hawkvision quantize`: an int8 copy of a network, and what it gains and changes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from rich.table import Table

from hawkvision.cli.calibrate import MODEL, parse_source_option
from hawkvision.cli.output import screen, write_json
from hawkvision.datasets import LabelledImage, LabelledSet, open_labelled
from hawkvision.engines import ModelSpec, check_onnx_runtime
from hawkvision.engines.tensorrt import examine as tensorrt
from hawkvision.errors import CalibrationError
from hawkvision.images import decode, fit
from hawkvision.repository.task import Kind
from hawkvision.repository.weights import stored_bytes
from hawkvision.taskbuild.build import readable
from hawkvision.taskbuild.cost import Cost, measure_cost
from hawkvision.taskbuild.fitting import FittedRung, Fitting, fit_rung
from hawkvision.taskbuild.planning import plan_task
from hawkvision.taskbuild.quantization import Answers, Changes, Target, compare, quantize
from hawkvision.taskbuild.runs import outputs_of
from hawkvision.taskbuild.sources import ModelSource, read_aliases
from hawkvision.taskbuild.split import split_images
from hawkvision.tasks import Outputs


@click.command("quantize", context_settings={"show_default": True})
@click.argument("model", callback=parse_source_option, metavar=MODEL)
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Labelled images.")
@click.option("--split", help="Folder above the class folders, e.g. train.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    show_default="FILE.int8.onnx, or FILE.tensorrt.onnx",
)
@click.option(
    "--for",
    "target",
    type=click.Choice(["cpu", "tensorrt"]),
    default="cpu",
    help="Who runs it: TensorRT takes other steps than CPUs.",
)
@click.option("--images", default=256, type=click.IntRange(16), help="That give the ranges.")
@click.option("--compare-images", default=2000, type=click.IntRange(50))
@click.option("--aliases", type=click.Path(path_type=Path), help='JSON, {"folder": "label"}.')
@click.option("--threads", type=click.IntRange(1, 64), default=lambda: os.cpu_count() or 1)
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def command(
    model: ModelSource,
    data: Path,
    split: str | None,
    out: Path | None,
    target: Target,
    images: int,
    compare_images: int,
    aliases: Path | None,
    threads: int,
    json_file: Path | None,
) -> None:
    """Quantize a float32 classifier to int8 (static, QDQ, per channel) and compare both.

    Both are compared, and timed, with ONNX Runtime on this machine.
    """
    check_onnx_runtime()
    suffix = ".int8.onnx" if target == "cpu" else f".{target}.onnx"
    path = out or model.path.with_suffix(suffix)
    folder = tempfile.TemporaryDirectory(prefix="hawkvision-")
    scratch = Path(click.get_current_context().with_resource(folder))
    found = open_labelled(data, split)
    ranging, comparing = split_images(found, images + compare_images)
    names = read_aliases(aliases) if aliases else {}
    planned = plan_task("classification", ["model"], [model], found, names, scratch)
    kind, plan = planned.kind, planned.rungs[0]
    if plan.dtype != "float32":
        already = " and is quantized already" if plan.dtype == "uint8" else ""
        raise CalibrationError(
            f"{model.path.name} takes {plan.dtype} pixels{already}",
            hint="Give the float32 network.",
        )
    held = _fitting(kind, ranging, threads)
    before, _, notes, _ = fit_rung(plan, planned.heads[0], held)
    for note in (*found.notes, *planned.notes, *notes):
        click.echo(f"note: {note}", err=True)
    quantize(before.spec.path, path, _inputs(before, held.images[:images]), target)
    if target == tensorrt.FLAVOUR and tensorrt.present():
        click.echo(f"parsed: {tensorrt.examine(path).by} takes {path.name}", err=True)
    after = replace(before, spec=replace(before.spec, path=path, precision="int8"))
    after = replace(after, head=_refitted(after, held))
    rest = _fitting(kind, comparing, threads)
    changes = compare(_answers(before, rest), _answers(after, rest))
    after_spec = after.spec
    costs = [measure_cost(spec, before.geometry) for spec in (before.spec, after_spec)]
    show(model.path, path, changes, costs)
    body = {"model": str(model.path), "int8": str(path), **changes.as_dict()}
    for name, cost, file in zip(("before", "after"), costs, (model.path, path), strict=True):
        body[f"milliseconds_{name}"] = cost.milliseconds
        body[f"kilobytes_{name}"] = stored_bytes(file) / 1000
    write_json(json_file, body)


def _fitting(kind: Kind, images: LabelledSet, threads: int) -> Fitting:
    kept = readable(images)
    return Fitting(kind, kept, [kind.truth(image.label) for image in kept], threads=threads)


def _inputs(rung: FittedRung, images: Sequence[LabelledImage]) -> Iterator[npt.NDArray[np.float32]]:
    """Network inputs as the engine would prepare them."""
    spec: ModelSpec = rung.spec
    mean = np.asarray(spec.mean, np.float32)
    std = np.asarray(spec.std, np.float32)
    side = max(rung.geometry.width, rung.geometry.height)
    for image in images:
        pixels = fit(decode(image.data, min_side=side), rung.geometry)
        if spec.channels == "BGR":
            pixels = pixels[:, :, ::-1]
        x = ((pixels.astype(np.float32) - mean) / std)[None]
        yield np.ascontiguousarray(x.transpose(0, 3, 1, 2) if spec.layout == "NCHW" else x)


def _outputs(rung: FittedRung, held: Fitting) -> Outputs:
    loaded = rung.load(held.kind, held.engine)
    try:
        return outputs_of(loaded, held.images, held.threads)
    finally:
        loaded.close()


def _refitted(rung: FittedRung, held: Fitting) -> Any:
    """The head, calibrated for these weights."""
    return held.kind.fit(_outputs(rung, held), rung.head, held.truths, rung.name)[0]


def _answers(rung: FittedRung, held: Fitting) -> Answers:
    kind = held.kind
    predictions = kind.read(_outputs(rung, held), rung.head, ())
    pairs = zip(predictions, held.truths, strict=True)
    return Answers(
        loss=np.array([kind.loss(*pair) for pair in pairs], np.float32),
        confidence=np.array([one.confidence for one in predictions], np.float32),
        said=tuple(str(kind.as_dict(one, 1).get("label")) for one in predictions),
    )


def show(before: Path, after: Path, changes: Changes, costs: Sequence[Cost]) -> None:
    """Print both networks side by side, and what changes."""
    table = Table("", before.name, after.name, title="int8")
    right = (changes.accuracy_before, changes.accuracy_after)
    table.add_row("accuracy", *(f"{share:.3%}" for share in right))
    table.add_row("kB", *(f"{stored_bytes(path) / 1000:,.0f}" for path in (before, after)))
    table.add_row("ms", *(f"{cost.milliseconds:.3f}" for cost in costs))
    table.add_row("memory MB", *(f"{cost.memory_mb:.1f}" for cost in costs))
    console = screen()
    console.print(table)
    console.print(
        f"same label on {changes.same_label:.2%} of {changes.images} images, confidence moved by "
        f"{changes.mean_confidence_change:.4f} on average"
    )
    routes = ", ".join(f"{share:.1%} at {name}" for name, share in changes.rerouted.items())
    console.print(
        f"routing decisions changed: {changes.mean_rerouted:.1%} on average ({routes}); "
        "calibrate the int8 file itself, then nothing is lost"
    )
