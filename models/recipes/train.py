"""Train one rung of a task: `python -m models.recipes.train imagenette dc --data …`.

Time-driven: the learning rate and the image size follow the process's own running time (CPU time
over `--threads`) over `--minutes`, so a pause or a loaded machine costs nothing but waiting.
Checkpoints every `--checkpoint-seconds`; the same command resumes, with other `--minutes` too. One
thread per process is the fast choice beside other load.
"""

from __future__ import annotations

import json
import math
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hawkvision.errors import RepositoryError
from hawkvision.repository import Repository, shipped_repository
from models.recipes.augment import intact_view, maybe_damaged
from models.recipes.checkpoints import save_checkpoint
from models.recipes.ladder.variants import int8_file
from models.recipes.nets import ResidualNet, count_macs, count_parameters
from models.recipes.samples import Sample, training_samples
from models.recipes.shipped import float_net
from models.recipes.specs import RECIPES, Recipe


def to_tensor(batch: np.ndarray) -> Tensor:
    """uint8 [N,H,W,C] to the network's float input [N,C,H,W]: (x - 128) / 64."""
    x = torch.from_numpy(batch).permute(0, 3, 1, 2)
    return (x.to(torch.float32) - 128.0) * (1 / 64)


def learning_rate(recipe: Recipe, progress: float) -> float:
    """One cycle: linear warm-up over 5 % of the budget, then a cosine to zero."""
    if progress < 0.05:
        return recipe.learning_rate * (0.1 + 0.9 * progress / 0.05)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (progress - 0.05) / 0.95))


def image_size(recipe: Recipe, progress: float) -> int:
    """The training side in px at this share of the budget."""
    return [size for start, size in recipe.sizes if progress >= start][-1]


def _batches(samples: list[Sample], size: int, rng: np.random.Generator) -> Iterator[list[Sample]]:
    order = rng.permutation(len(samples))
    for start in range(0, len(order) - size + 1, size):
        yield [samples[index] for index in order[start : start + size]]


def _label_loss(logits: Tensor, y: Tensor, recipe: Recipe, mix: float) -> Tensor:
    smoothing = recipe.label_smoothing
    loss = nn.functional.cross_entropy(logits, y, label_smoothing=smoothing)
    if mix == 1:
        return loss
    other = nn.functional.cross_entropy(logits, torch.flip(y, [0]), label_smoothing=smoothing)
    return mix * loss + (1 - mix) * other


def _teacher_loss(logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    student = nn.functional.log_softmax(logits / temperature, dim=1)
    teacher = nn.functional.log_softmax(taught / temperature, dim=1)
    divergence = nn.functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return divergence * temperature**2


def _mixed(x: Tensor, mix: float) -> Tensor:
    return x if mix == 1 else x * mix + torch.flip(x, [0]) * (1 - mix)


class Run:
    """One resumable training run: network, optimiser, elapsed seconds, random state."""

    def __init__(
        self, recipe: Recipe, classes: int, device: str, teacher: nn.Module | None = None
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.device = torch.device(device)
        self.net = ResidualNet(recipe.net, classes).to(
            self.device, memory_format=torch.channels_last
        )
        self.teacher = teacher
        decayed = [p for p in self.net.parameters() if p.ndim > 1]
        plain = [p for p in self.net.parameters() if p.ndim <= 1]
        self.optimiser = torch.optim.SGD(
            [
                {"params": decayed, "weight_decay": recipe.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=recipe.learning_rate,
            momentum=0.9,
            nesterov=True,
        )
        self.rng = np.random.default_rng(recipe.seed)
        self.elapsed_s = 0.0
        self.epoch = 0
        self.images = 0

    def save(self, path: Path) -> None:
        """Write the checkpoint."""
        save_checkpoint(
            {
                "net": self.net.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "rng": self.rng.bit_generator.state,
                "elapsed_s": self.elapsed_s,
                "epoch": self.epoch,
                "images": self.images,
            },
            path,
        )

    def load(self, path: Path) -> None:
        """Continue from a checkpoint that `save` wrote."""
        state = torch.load(path, map_location=self.device, weights_only=False)
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.rng.bit_generator.state = state["rng"]
        self.elapsed_s, self.epoch = state["elapsed_s"], state["epoch"]
        self.images = state["images"]

    def step(self, batch: list[Sample], progress: float) -> float:
        """One optimiser step on a batch; returns the loss."""
        recipe = self.recipe
        size = image_size(recipe, progress)
        spec = recipe.augmentation
        intact = [intact_view(sample.decode(), size, spec, self.rng) for sample in batch]
        seen = [maybe_damaged(view, spec, self.rng) for view in intact]
        y = torch.tensor([sample.class_id for sample in batch], device=self.device)
        mixing = recipe.mixup > 0 and progress < 0.85
        mix = float(max(b := self.rng.beta(recipe.mixup, recipe.mixup), 1 - b)) if mixing else 1.0
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(recipe, progress)
        logits = self._forward(self.net, seen, mix)
        loss = _label_loss(logits, y, recipe, mix)
        if recipe.distillation is not None and self.teacher is not None:
            with torch.no_grad():
                taught = self._forward(self.teacher, intact, mix)
            weight = recipe.distillation.weight
            learnt = _teacher_loss(logits, taught, recipe.distillation.temperature)
            loss = (1 - weight) * loss + weight * learnt
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.images += len(batch)
        return float(loss.detach())

    def _forward(self, net: nn.Module, views: list[npt.NDArray[np.uint8]], mix: float) -> Tensor:
        x = to_tensor(np.stack(views)).to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16):
            logits: Tensor = net(_mixed(x, mix))
        return logits.float()

    def train(self, samples: list[Sample], budget_s: float, path: Path, every_s: float) -> None:
        """Train until `budget_s` seconds of training time are used."""
        saved = self.elapsed_s
        while self.elapsed_s < budget_s:
            self.net.train()
            losses: list[float] = []
            for batch in _batches(samples, self.recipe.batch_size, self.rng):
                start = time.process_time()
                losses.append(self.step(batch, min(self.elapsed_s / budget_s, 1.0)))
                self.elapsed_s += (time.process_time() - start) / torch.get_num_threads()
                if self.elapsed_s - saved >= every_s:
                    self.save(path)
                    saved = self.elapsed_s
                if self.elapsed_s >= budget_s:
                    break
            self.epoch += 1
            progress = min(self.elapsed_s / budget_s, 1.0)
            print(
                f"{self.recipe.task}/{self.recipe.rung} epoch {self.epoch} "
                f"{progress:6.1%} loss {np.mean(losses):.4f} "
                f"size {image_size(self.recipe, progress)} {self.elapsed_s:.0f} s",
                flush=True,
            )
        self.save(path)


def load_teacher(recipe: Recipe, classes: int, folder: Path, device: str) -> nn.Module | None:
    """The rung to learn from, in evaluation mode: its checkpoint, or else what is shipped.

    Raises UsageError where there is neither.
    """
    if recipe.distillation is None:
        return None
    rung = recipe.distillation.teacher
    spec = RECIPES[recipe.task, rung].net
    path = folder / f"{rung}.pt"
    if path.exists():
        net = ResidualNet(spec, classes)
        net.load_state_dict(torch.load(path, map_location=device, weights_only=False)["net"])
        teacher: nn.Module = net
    else:
        try:
            shipped = int8_file(Repository(shipped_repository()).open(recipe.task), rung)
        except RepositoryError as error:
            reason = f"{recipe.task}/{recipe.rung} learns from {rung}; train that first"
            raise click.UsageError(reason) from error
        teacher = float_net(spec, classes, shipped).to(torch.bfloat16)
    teacher = teacher.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return teacher.eval().requires_grad_(False)


@click.command()
@click.argument("task")
@click.argument("rung")
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="Folder or tar.")
@click.option("--minutes", type=float, required=True, help="Training time in all.")
@click.option("--threads", type=int, default=1, show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--checkpoint-seconds", type=float, default=120.0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/train"))
def main(
    task: str,
    rung: str,
    data: Path | None,
    minutes: float,
    threads: int,
    device: str,
    checkpoint_seconds: float,
    out: Path,
) -> None:
    """Train RUNG (edge, medium, dc, …) of TASK on the task's train split."""
    torch.set_num_threads(threads)
    recipe = RECIPES[task, rung]
    classes, samples = training_samples(task, data)
    folder = out / task
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / f"{rung}.pt"
    run = Run(recipe, len(classes), device, load_teacher(recipe, len(classes), folder, device))
    if checkpoint.exists():
        run.load(checkpoint)
        print(f"resumed at {run.elapsed_s:.0f} s, epoch {run.epoch}", flush=True)
    shape = (3, recipe.input_size, recipe.input_size)
    macs = count_macs(ResidualNet(recipe.net, len(classes)), shape)
    print(
        f"{task}/{rung}: {len(samples)} images, {len(classes)} classes, "
        f"{count_parameters(run.net)} parameters, {macs / 1e6:.1f} MMAC",
        flush=True,
    )
    run.train(samples, minutes * 60, checkpoint, checkpoint_seconds)
    record = {
        "task": task,
        "rung": rung,
        "classes": classes,
        "command": "python -m models.recipes.train " + f"{task} {rung} --minutes {minutes:g}",
        "seed": recipe.seed,
        "minutes": round(run.elapsed_s / 60, 1),
        "threads": threads,
        "epochs": run.epoch,
        "images_seen": run.images,
        "parameters": count_parameters(run.net),
        "macs": macs,
        "machine": f"{platform.machine()}, {device}, torch {torch.__version__}",
        "python": sys.version.split()[0],
        "date": time.strftime("%Y-%m-%d"),
    }
    (folder / f"{rung}.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
