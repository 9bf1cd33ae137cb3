"""Train the residual networks of CIFAR-10: `python -m models.recipes.cifar10.train float …`.

In this order: the data-center rung (`models.recipes.cifar10.teach`), what it says of six fixed
views of each picture (`models.recipes.cifar10.views`), `float` from scratch, `quant` from the
float network with Brevitas. Both learn from the labels until `--taught-from`, then from the large
rung on those views. A checkpoint after every epoch; the same command resumes. One thread.
"""

from __future__ import annotations

import json
import math
import platform
import time
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor, nn

from models.recipes.cifar10 import data as pictures
from models.recipes.cifar10.nets import FloatResNet, QuantResNet
from models.recipes.cifar10.views import Taught

SEED = 20261121
BATCH = 128
TEMPERATURE = 2.0
REACH = 3
"""Pixels by which a view may be shifted."""
LABEL_SHARE = 0.1
"""Of the loss where a network learns from another; the rest is the other's answer."""


def to_input(x: Tensor) -> Tensor:
    """Pixels 0 to 255 as the network takes them: (x - 128) / 64."""
    return ((x.float() - 128) / 64).contiguous(memory_format=torch.channels_last)


def learning_rate(peak: float, progress: float) -> float:
    """A short linear warm-up, then a cosine to zero."""
    if progress < 0.03:
        return peak * (0.1 + 0.9 * progress / 0.03)
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - 0.03) / 0.97))


def accuracy(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of uint8 [N,3,32,32] that `net` answers rightly."""
    net.eval()
    with torch.no_grad():
        guesses = [net(to_input(part)).argmax(1) for part in x.split(500)]
    return float((torch.cat(guesses) == y).float().mean())


def _taught_loss(logits: Tensor, taught: Tensor, y: Tensor) -> Tensor:
    student = nn.functional.log_softmax(logits / TEMPERATURE, 1)
    teacher = nn.functional.log_softmax(taught / TEMPERATURE, 1)
    divergence = nn.functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
    labels = nn.functional.cross_entropy(logits, y)
    return LABEL_SHARE * labels + (1 - LABEL_SHARE) * divergence * TEMPERATURE**2


class Run:
    """One resumable run over `epochs` epochs."""

    def __init__(self, net: nn.Module, peak: float, decay: float) -> None:
        self.net = net.to(memory_format=torch.channels_last)
        self.peak = peak
        decayed = [p for p in net.parameters() if p.ndim > 1]
        plain = [p for p in net.parameters() if p.ndim <= 1]
        self.optimiser = torch.optim.SGD(
            [{"params": decayed, "weight_decay": decay}, {"params": plain, "weight_decay": 0.0}],
            lr=peak,
            momentum=0.9,
            nesterov=True,
        )
        self.generator = torch.Generator().manual_seed(SEED)
        self.narrow = isinstance(net, FloatResNet)
        self.epoch, self.seconds = 0, 0.0

    def save(self, path: Path) -> None:
        """Write the checkpoint atomically."""
        partial = path.with_suffix(".partial")
        state = {
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "epoch": self.epoch,
            "seconds": self.seconds,
        }
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint that `save` wrote."""
        state = torch.load(path, weights_only=False)
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.epoch, self.seconds = state["epoch"], state["seconds"]

    def train_epoch(self, x: Tensor, y: Tensor, epochs: int, taught: Taught | None) -> float:
        """One pass over uint8 [N,3,32,32]; the mean loss."""
        if taught is None:
            views, answers = pictures.Views.draw(len(x), REACH, self.generator), None
        else:
            views, answers = taught.view(self.epoch)
        start = time.monotonic()
        self.net.train()
        losses = []
        order = torch.randperm(len(x), generator=self.generator).split(BATCH)
        for step, chosen in enumerate(order):
            progress = (self.epoch + step / len(order)) / epochs
            for group in self.optimiser.param_groups:
                group["lr"] = learning_rate(self.peak, progress)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.narrow):
                logits = self.net(to_input(views.of(x, chosen))).float()
            if answers is None:
                loss = nn.functional.cross_entropy(logits, y[chosen])
            else:
                loss = _taught_loss(logits, answers[chosen], y[chosen])
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            losses.append(loss.item())
        self.epoch += 1
        self.seconds += time.monotonic() - start
        return float(np.mean(losses))


@click.command()
@click.argument("kind", type=click.Choice(["float", "quant"]))
@click.option("--blocks", type=click.IntRange(1, 2), required=True, help="Blocks of a stage.")
@click.option("--epochs", type=int, required=True)
@click.option("--peak", type=float, required=True, help="Learning rate.")
@click.option("--taught-from", type=int, default=0, show_default=True, help="Epoch.")
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/train/cifar10"))
def main(
    kind: str, blocks: int, epochs: int, peak: float, taught_from: int, data: Path, out: Path
) -> None:
    """Train a residual network with BLOCKS blocks a stage: 1 is ResNet-8, 2 is ResNet-14."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    out.mkdir(parents=True, exist_ok=True)
    depth = 6 * blocks + 2
    path = out / f"{kind}{depth}.pt"
    net: nn.Module = FloatResNet(blocks)
    if kind == "quant":
        net = QuantResNet(blocks)
        start = torch.load(out / f"float{depth}.pt", weights_only=False)["net"]
        net.load_state_dict(start, strict=False)
    run = Run(net, peak, 5e-4 if kind == "float" else 5e-5)
    if path.exists():
        run.load(path)
        print(f"resumed at epoch {run.epoch}", flush=True)
    _, x, y = pictures.load(data, "train")
    _, x_test, y_test = pictures.load(data, "test")
    while run.epoch < epochs:
        taught = Taught.load(out / "views.npz") if run.epoch >= taught_from else None
        loss = run.train_epoch(x, y, epochs, taught)
        run.save(path)
        found = f" test {accuracy(net, x_test, y_test):.4f}" if run.epoch % 3 == 0 else ""
        line = f"{kind}{depth} epoch {run.epoch}/{epochs} loss {loss:.4f}{found}"
        print(f"{line} {run.seconds:.0f} s", flush=True)
    record = {
        "command": f"python -m models.recipes.cifar10.train {kind} --blocks {blocks} "
        f"--epochs {epochs} --peak {peak:g} --taught-from {taught_from}",
        "seed": SEED,
        "minutes": round(run.seconds / 60, 1),
        "epochs": epochs,
        "test_accuracy": round(accuracy(net, x_test, y_test), 4),
        "machine": f"{platform.machine()}, one thread, torch {torch.__version__}",
        "date": time.strftime("%Y-%m-%d"),
    }
    path.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n")
    print(record, flush=True)


if __name__ == "__main__":
    main()
