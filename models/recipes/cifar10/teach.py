"""Train the large networks of CIFAR-10: `python -m models.recipes.cifar10.teach teacher|dc …`.

The hyper-parameters follow airbench95 (Jordan, arXiv 2404.00498): a whitening stem, a triangular
learning rate, a running mean of the weights. `teacher` learns from the labels of moved pictures,
mirrored in alternating epochs. What it says of mixtures (`models.recipes.cifar10.views`) teaches
the small networks and, together with the labels that were mixed, its own successor `dc`, a deeper
network that starts from its weights ("Born-again neural networks", arXiv 1805.04770). A checkpoint
after every epoch; the same command resumes.
"""

from __future__ import annotations

import json
import platform
import time
from dataclasses import replace
from pathlib import Path

import click
import torch
from torch import Tensor
from torch.nn import functional

from models.recipes.checkpoints import save_checkpoint
from models.recipes.cifar10 import data as pictures
from models.recipes.cifar10.data import SEED
from models.recipes.cifar10.large import CONVS, Airbench
from models.recipes.cifar10.views import COUNT, answers, mixtures

BATCH = 1000
_MOMENTUM = 0.85
_KILOSTEP = 1024 * (1 + 1 / (1 - _MOMENTUM))
_RATE = 10.0 / _KILOSTEP
_BIAS_RATE = 64 * _RATE
_DECAY = 0.0153 * BATCH / _KILOSTEP
_WHITENING_EPOCHS = 3
"""So long the bias of the whitening stem learns."""
_SMOOTHING = {"teacher": 0.2, "dc": 0.1}
_TAUGHT_SHARE = 0.5
"""Of what `dc` is to answer, the teacher's part; the rest are the labels."""
_TESTED = 4
"""Epochs from one look at the test pictures to the next."""


def learning_rate_share(progress: float) -> float:
    """Of the peak: 0.2 to 1 over 23 % of the run, then down to 0.07."""
    if progress < 0.23:
        return 0.2 + 0.8 * progress / 0.23
    return 1 - 0.93 * (progress - 0.23) / 0.77


def annealed_share(progress: float) -> float:
    """Of the peak, in the epochs after the run: 0.2 to nothing."""
    return 0.2 * (1 - progress)


def accuracy(net: Airbench, x: Tensor, y: Tensor) -> float:
    """Share answered rightly, averaged with the mirror image."""
    net.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        guesses = [
            (net(part).float() + net(part.flip(3)).float()).argmax(1) for part in x.split(500)
        ]
    return float((torch.cat(guesses) == y).float().mean())


def mixed_labels(y: Tensor, mixed: pictures.Mixtures, size: int, classes: int) -> Tensor:
    """float [N,classes]: the labels of N square pictures of `size` px in the mixture's shares."""
    rows, columns = mixed.box[:, 1] - mixed.box[:, 0], mixed.box[:, 3] - mixed.box[:, 2]
    share = (mixed.weight * rows * columns / size**2)[:, None]
    one_hot = functional.one_hot(y, classes).float()
    return torch.lerp(one_hot, one_hot[mixed.partner], share)


class Run:
    """One resumable run."""

    def __init__(self, generation: str, epochs: int, count: int, anneal: int = 0) -> None:
        self.epochs, self.steps = epochs, epochs * (count // BATCH)
        self.last_steps = anneal * (count // BATCH)
        self.net = Airbench(generation).to(memory_format=torch.channels_last)
        self.smoothing = _SMOOTHING[generation]
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
        self.step, self.epoch, self.seconds = 0, 0, 0.0
        self.start({})

    def start(self, state: dict[str, Tensor]) -> None:
        """Take the weights of a network whose layers this one has; the running mean starts there.

        Raises ValueError where the other has more.
        """
        unknown = self.net.load_state_dict(state, strict=False).unexpected_keys
        if unknown:
            raise ValueError(f"no place for {', '.join(unknown)}")
        self.mean = {
            name: value.clone()
            for name, value in self.net.state_dict().items()
            if value.dtype == torch.float32
        }

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
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.mirrored, self.mean = state["mirrored"], state["mean"]
        self.step, self.epoch, self.seconds = state["step"], state["epoch"], state["seconds"]

    def train_epoch(self, x: Tensor, y: Tensor, taught: Tensor | None) -> float:
        """One pass over uint8 [N,3,32,32]; the mean loss.

        `taught` holds the teacher's logits for the mixtures of this epoch.
        """
        start = time.monotonic()
        self.net.train()
        self.net.white.bias.requires_grad = self.epoch < _WHITENING_EPOCHS
        size, classes = x.shape[-1], self.net.head.out_features
        views: pictures.Views | pictures.Mixtures
        if taught is None:
            views = pictures.Views.draw(len(x), 2, self.generator)
            views = replace(views, mirrored=self.mirrored ^ (self.epoch % 2 == 1))
            wanted = functional.one_hot(y, classes).float()
        else:
            views = mixtures(self.epoch, len(x), size)
            wanted = mixed_labels(y, views, size, classes)
        wanted = wanted.lerp(torch.full_like(wanted, 1 / classes), self.smoothing)
        if taught is not None:
            wanted = wanted.lerp(taught.softmax(1), _TAUGHT_SHARE)
        mirror = taught is not None and self.epoch // COUNT % 2 == 1
        total = 0.0
        for chosen in torch.randperm(len(x), generator=self.generator).split(BATCH):
            view = views.of(x, chosen)
            for group, peak in zip(self.optimiser.param_groups, self.peaks, strict=True):
                group["lr"] = peak * self._share()
            with torch.autocast("cpu", torch.bfloat16):
                logits = self.net(view.flip(3) if mirror else view).float()
            loss = functional.cross_entropy(logits, wanted[chosen], reduction="sum")
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            total += float(loss.detach())
            self.step += 1
            if self.step % 5 == 0:
                self._average()
        self.epoch += 1
        self.seconds += time.monotonic() - start
        return total / len(x)

    def _share(self) -> float:
        if self.step < self.steps:
            return learning_rate_share(self.step / self.steps)
        return annealed_share((self.step - self.steps) / self.last_steps)

    def _average(self) -> None:
        """Mix the running mean and the weights, each into the other (lookahead)."""
        share = 0.95**5 * min(1.0, self.step / self.steps) ** 3
        with torch.no_grad():
            for name, value in self.net.state_dict().items():
                if name in self.mean:
                    self.mean[name].lerp_(value, 1 - share)
                    value.copy_(self.mean[name])


@click.command()
@click.argument("generation", type=click.Choice(list(CONVS)))
@click.option("--epochs", type=int, required=True)
@click.option("--anneal", type=int, default=0, show_default=True, help="Epochs after those.")
@click.option("--threads", type=int, default=1, show_default=True)
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/train/cifar10"))
def main(generation: str, epochs: int, anneal: int, threads: int, data: Path, out: Path) -> None:
    """Train a generation of the large network."""
    torch.set_num_threads(threads)
    torch.manual_seed(SEED)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{generation}.pt"
    _, x, y = pictures.load(data, "train")
    _, x_test, y_test = pictures.load(data, "test")
    run = Run(generation, epochs, len(x), anneal)
    if path.exists():
        run.load(path)
        print(f"resumed at epoch {run.epoch}", flush=True)
    elif generation == "dc":
        run.start(torch.load(out / "teacher.pt", weights_only=False)["mean"])
    else:
        run.net.whiten(x[:5000])
        run.start({})
    whole = epochs + anneal
    while run.epoch < whole:
        taught = answers(out, run.epoch) if generation == "dc" else None
        loss = run.train_epoch(x, y, taught)
        run.save(path)
        found = ""
        if run.epoch % _TESTED == 0 or run.epoch == whole:
            found = f" test {accuracy(run.net, x_test, y_test):.4f}"
        line = f"{generation} epoch {run.epoch}/{whole} loss {loss:.4f}{found}"
        print(f"{line} {run.seconds:.0f} s", flush=True)
    record = {
        "command": f"python -m models.recipes.cifar10.teach {generation} "
        f"--epochs {epochs} --anneal {anneal}",
        "seed": SEED,
        "minutes": round(run.seconds / 60, 1),
        "epochs": whole,
        "test_accuracy": round(accuracy(run.net, x_test, y_test), 4),
        "machine": f"{platform.machine()}, {threads} threads, torch {torch.__version__}",
        "date": time.strftime("%Y-%m-%d"),
    }
    path.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n")
    print(record, flush=True)


if __name__ == "__main__":
    main()
