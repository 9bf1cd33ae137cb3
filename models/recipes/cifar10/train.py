"""Train the residual networks of CIFAR-10: `python -m models.recipes.cifar10.train float …`.

In this order: a large network (`models.recipes.cifar10.teach teacher`), what it says of mixed
pictures (`models.recipes.cifar10.views`), `float accurate` from scratch, `quant` of both profiles
from that network with Brevitas, `fast` without some of its blocks. Networks learn from the labels
until `--taught-from`, then from the large network on those mixtures. A checkpoint after every
epoch; the same command resumes. One thread; an allocator that keeps its pages (tcmalloc by
LD_PRELOAD) saves some of the time.
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

from models.recipes.checkpoints import save_checkpoint
from models.recipes.cifar10 import data as pictures
from models.recipes.cifar10.data import SEED
from models.recipes.cifar10.nets import BLOCKS, FloatResNet, QuantResNet, without_blocks
from models.recipes.cifar10.views import answers, mixtures

BATCH = 128
TEMPERATURE = 2.0
REACH = 3
"""Pixels by which a view may be shifted."""
EXACT_SHARE = 0.05
"""Of a run, at its end: computed in float32 instead of bfloat16."""


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


def _taught_loss(logits: Tensor, taught: Tensor) -> Tensor:
    student = nn.functional.log_softmax(logits / TEMPERATURE, 1)
    teacher = nn.functional.log_softmax(taught / TEMPERATURE, 1)
    divergence = nn.functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return divergence * TEMPERATURE**2


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
        self.epoch, self.seconds = 0, 0.0

    def save(self, path: Path) -> None:
        """Write the checkpoint."""
        state = {
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "epoch": self.epoch,
            "seconds": self.seconds,
        }
        save_checkpoint(state, path)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint that `save` wrote."""
        state = torch.load(path, weights_only=False)
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.epoch, self.seconds = state["epoch"], state["seconds"]

    def train_epoch(self, x: Tensor, y: Tensor, epochs: int, taught: Tensor | None) -> float:
        """One pass over uint8 [N,3,32,32]; the mean loss.

        `taught` holds the large network's answers for the mixtures of this epoch.
        """
        views: pictures.Views | pictures.Mixtures
        if taught is None:
            views = pictures.Views.draw(len(x), REACH, self.generator)
        else:
            views = mixtures(self.epoch, len(x), x.shape[-1])
        narrow = self.epoch < (1 - EXACT_SHARE) * epochs
        start = time.monotonic()
        self.net.train()
        losses = []
        order = torch.randperm(len(x), generator=self.generator).split(BATCH)
        for step, chosen in enumerate(order):
            progress = (self.epoch + step / len(order)) / epochs
            for group in self.optimiser.param_groups:
                group["lr"] = learning_rate(self.peak, progress)
            with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
                logits = self.net(to_input(views.of(x, chosen))).float()
            if taught is None:
                loss = nn.functional.cross_entropy(logits, y[chosen])
            else:
                loss = _taught_loss(logits, taught[chosen])
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            losses.append(loss.item())
        self.epoch += 1
        self.seconds += time.monotonic() - start
        return float(np.mean(losses))


@click.command()
@click.argument("kind", type=click.Choice(["float", "quant"]))
@click.argument("profile", type=click.Choice(list(BLOCKS)))
@click.option("--epochs", type=int, required=True)
@click.option("--peak", type=float, required=True, help="Learning rate.")
@click.option("--taught-from", type=int, default=0, show_default=True, help="Epoch.")
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/train/cifar10"))
def main(
    kind: str, profile: str, epochs: int, peak: float, taught_from: int, data: Path, out: Path
) -> None:
    """Train the residual network of a profile."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    out.mkdir(parents=True, exist_ok=True)
    name = f"{kind}-{profile}"
    path = out / f"{name}.pt"
    net: nn.Module = FloatResNet(BLOCKS[profile])
    if kind == "quant":
        net = QuantResNet(BLOCKS[profile])
        start = torch.load(out / "float-accurate.pt", weights_only=False)["net"]
        start = without_blocks(start, BLOCKS["accurate"], BLOCKS[profile])
        net.load_state_dict(start, strict=False)
    run = Run(net, peak, 5e-4 if kind == "float" else 1e-4)
    if path.exists():
        run.load(path)
        print(f"resumed at epoch {run.epoch}", flush=True)
    _, x, y = pictures.load(data, "train")
    _, x_test, y_test = pictures.load(data, "test")
    while run.epoch < epochs:
        taught = answers(out, run.epoch) if run.epoch >= taught_from else None
        loss = run.train_epoch(x, y, epochs, taught)
        run.save(path)
        found = f" test {accuracy(net, x_test, y_test):.4f}" if run.epoch % 3 == 0 else ""
        line = f"{name} epoch {run.epoch}/{epochs} loss {loss:.4f}{found}"
        print(f"{line} {run.seconds:.0f} s", flush=True)
    record = {
        "command": f"python -m models.recipes.cifar10.train {kind} {profile} "
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
