"""Train the data-center rung of CIFAR-10: `python -m models.recipes.cifar10.teach --data …`.

Network and hyper-parameters follow airbench95 (Jordan, arXiv 2404.00498): a whitening stem, three
pooled blocks, a triangular learning rate, mirror images in alternating epochs, a running mean of
the weights. A checkpoint after every epoch; the same command resumes. One thread.
"""

from __future__ import annotations

import json
import platform
import time
from dataclasses import replace
from pathlib import Path

import click
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.recipes.checkpoints import save_checkpoint
from models.recipes.cifar10 import data as pictures

SEED = 20261121
WIDTHS = (128, 384, 384)
BATCH = 1000
_MOMENTUM = 0.85
_KILOSTEP = 1024 * (1 + 1 / (1 - _MOMENTUM))
_RATE = 10.0 / _KILOSTEP
_BIAS_RATE = 64 * _RATE
_DECAY = 0.0153 * BATCH / _KILOSTEP
_WHITENING_EPOCHS = 3
"""So long the bias of the whitening stem learns."""


class _BatchNorm(nn.BatchNorm2d):
    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-12, momentum=0.4)
        self.weight.requires_grad = False


def _conv(channels: int, out: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels, out, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight[:channels])
    return layer


class Airbench(nn.Module):
    """uint8 or float pixels 0 to 255 [N,3,32,32] to logits [N,classes]; normalises by itself."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([125.3, 123.0, 113.9]).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor([63.0, 62.1, 66.7]).view(1, 3, 1, 1))
        self.white = nn.Conv2d(3, 24, 2, bias=True)
        self.white.weight.requires_grad = False
        nn.init.zeros_(self.white.bias)
        layers: list[nn.Module] = []
        channels = 24
        for width in WIDTHS:
            layers += [_conv(channels, width), nn.MaxPool2d(2), _BatchNorm(width), nn.GELU()]
            layers += [_conv(width, width), _BatchNorm(width), nn.GELU()]
            channels = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(channels, classes, bias=False)

    def normalise(self, x: Tensor) -> Tensor:
        """Zero mean, unit deviation."""
        out = (x.float() - self.mean) / self.deviation
        return out.contiguous(memory_format=torch.channels_last)

    def whiten(self, x: Tensor) -> None:
        """Set the stem to the principal components of the 2x2 patches of uint8 `x`."""
        patches = self.normalise(x).unfold(2, 2, 1).unfold(3, 2, 1).transpose(1, 3)
        flat = patches.reshape(-1, 12)
        values, vectors = torch.linalg.eigh(flat.T @ flat / len(flat))
        scaled = vectors.T.reshape(-1, 3, 2, 2) / torch.sqrt(values.view(-1, 1, 1, 1) + 5e-4)
        self.white.weight.data.copy_(torch.cat([scaled.flip(0), -scaled.flip(0)]))

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.body(functional.gelu(self.white(self.normalise(x))))
        logits: Tensor = self.head(functional.max_pool2d(x, 3).flatten(1)) / 9
        return logits


def load_teacher(path: Path) -> nn.Module:
    """The trained network (the mean of its weights) in evaluation mode."""
    net = Airbench()
    net.load_state_dict(torch.load(path, weights_only=False)["mean"], strict=False)
    return net.to(memory_format=torch.channels_last).eval().requires_grad_(False)


def learning_rate_share(progress: float) -> float:
    """Of the peak: 0.2 to 1 over 23 % of the run, then down to 0.07."""
    if progress < 0.23:
        return 0.2 + 0.8 * progress / 0.23
    return 1 - 0.93 * (progress - 0.23) / 0.77


def accuracy(net: Airbench, x: Tensor, y: Tensor) -> float:
    """Share answered rightly, averaged with the mirror image."""
    net.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        guesses = [
            (net(part).float() + net(part.flip(3)).float()).argmax(1) for part in x.split(500)
        ]
    return float((torch.cat(guesses) == y).float().mean())


class Run:
    """One resumable run."""

    def __init__(self, epochs: int, count: int) -> None:
        self.epochs, self.steps = epochs, epochs * (count // BATCH)
        self.net = Airbench().to(memory_format=torch.channels_last)
        learnt = [(n, p) for n, p in self.net.named_parameters() if p.requires_grad]
        shifts = [p for n, p in learnt if "bias" in n and "white" not in n]
        others = [p for n, p in learnt if "bias" not in n or "white" in n]
        self.peaks = (_BIAS_RATE, _RATE)
        self.optimiser = torch.optim.SGD(
            [
                {"params": shifts, "lr": _BIAS_RATE, "weight_decay": _DECAY / _BIAS_RATE},
                {"params": others, "lr": _RATE, "weight_decay": _DECAY / _RATE},
            ],
            momentum=_MOMENTUM,
            nesterov=True,
        )
        self.generator = torch.Generator().manual_seed(SEED)
        self.mirrored = torch.rand(count, generator=self.generator) < 0.5
        self.mean = {
            name: value.clone()
            for name, value in self.net.state_dict().items()
            if value.dtype == torch.float32
        }
        self.step, self.epoch, self.seconds = 0, 0, 0.0

    def save(self, path: Path) -> None:
        """Write the checkpoint."""
        state = {
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "mirrored": self.mirrored,
            "mean": self.mean,
            "step": self.step,
            "epoch": self.epoch,
            "seconds": self.seconds,
        }
        save_checkpoint(state, path)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint that `save` wrote."""
        state = torch.load(path, weights_only=False)
        self.net.load_state_dict(state["net"], strict=False)
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.mirrored, self.mean = state["mirrored"], state["mean"]
        self.step, self.epoch, self.seconds = state["step"], state["epoch"], state["seconds"]

    def train_epoch(self, x: Tensor, y: Tensor) -> float:
        """One pass over uint8 [N,3,32,32]; the loss of the last step, for each picture."""
        start = time.monotonic()
        self.net.train()
        self.net.white.bias.requires_grad = self.epoch < _WHITENING_EPOCHS
        order = torch.randperm(len(x), generator=self.generator)
        views = pictures.Views.draw(len(x), 2, self.generator)
        views = replace(views, mirrored=self.mirrored ^ (self.epoch % 2 == 1))
        for chosen in order.split(BATCH):
            view = views.of(x, chosen)
            for group, peak in zip(self.optimiser.param_groups, self.peaks, strict=True):
                group["lr"] = peak * learning_rate_share(self.step / self.steps)
            with torch.autocast("cpu", torch.bfloat16):
                logits = self.net(view).float()
            loss = functional.cross_entropy(logits, y[chosen], label_smoothing=0.2, reduction="sum")
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            self.step += 1
            if self.step % 5 == 0:
                self._average()
        self.epoch += 1
        self.seconds += time.monotonic() - start
        return float(loss.detach()) / len(chosen)

    def _average(self) -> None:
        """Mix the running mean and the weights, each into the other (lookahead)."""
        share = 0.95**5 * (self.step / self.steps) ** 3
        with torch.no_grad():
            for name, value in self.net.state_dict().items():
                if name in self.mean:
                    self.mean[name].lerp_(value, 1 - share)
                    value.copy_(self.mean[name])


@click.command()
@click.option("--epochs", type=int, default=15, show_default=True)
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/train/cifar10"))
def main(epochs: int, data: Path, out: Path) -> None:
    """Train the data-center rung."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "dc.pt"
    _, x, y = pictures.load(data, "train")
    _, x_test, y_test = pictures.load(data, "test")
    run = Run(epochs, len(x))
    run.net.whiten(x[:5000])
    if path.exists():
        run.load(path)
        print(f"resumed at epoch {run.epoch}", flush=True)
    while run.epoch < epochs:
        loss = run.train_epoch(x, y)
        run.save(path)
        found = accuracy(run.net, x_test, y_test)
        line = f"dc epoch {run.epoch}/{epochs} loss {loss:.4f} test {found:.4f}"
        print(f"{line} {run.seconds:.0f} s", flush=True)
    record = {
        "command": f"python -m models.recipes.cifar10.teach --epochs {epochs}",
        "seed": SEED,
        "minutes": round(run.seconds / 60, 1),
        "epochs": epochs,
        "test_accuracy": round(accuracy(run.net, x_test, y_test), 4),
        "machine": f"{platform.machine()}, one thread, torch {torch.__version__}",
        "date": time.strftime("%Y-%m-%d"),
    }
    path.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n")
    print(record, flush=True)


if __name__ == "__main__":
    main()
