"""What the data-center rung says of fixed views: `python -m models.recipes.cifar10.views --data …`.

Students see the same views, so the large network answers each of them once and not in every epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from models.recipes.cifar10 import data as pictures
from models.recipes.cifar10.teach import SEED, load_teacher

COUNT = 6
REACH = 3
"""Pixels by which a view is shifted at most."""


@dataclass(frozen=True)
class Taught:
    """Views of all pictures and the logits float32 [V,N,classes] for them."""

    views: tuple[pictures.Views, ...]
    logits: Tensor

    def view(self, epoch: int) -> tuple[pictures.Views, Tensor]:
        """One of them, in turn."""
        index = epoch % len(self.views)
        return self.views[index], self.logits[index]

    @classmethod
    def load(cls, path: Path) -> Taught:
        """Read what `main` wrote."""
        with np.load(path) as file:
            moved = torch.from_numpy(file["moved"]).long()
            mirrored = torch.from_numpy(file["mirrored"])
            logits = torch.from_numpy(file["logits"]).float()
        views = tuple(
            pictures.Views(down, right, flip, REACH)
            for (down, right), flip in zip(moved, mirrored, strict=True)
        )
        return cls(views, logits)


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/train/cifar10"))
def main(data: Path, out: Path) -> None:
    """Write `views.npz` with the answers of `dc.pt`."""
    torch.set_num_threads(1)
    teacher = load_teacher(out / "dc.pt")
    _, x, _ = pictures.load(data, "train")
    generator = torch.Generator().manual_seed(SEED + 1)
    moved, mirrored, logits = [], [], []
    for index in range(COUNT):
        views = pictures.Views.draw(len(x), REACH, generator)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            parts = [
                teacher(views.of(x, chosen)).to(torch.float16)
                for chosen in torch.arange(len(x)).split(500)
            ]
        logits.append(torch.cat(parts).numpy())
        moved.append(torch.stack([views.down, views.right]).to(torch.uint8).numpy())
        mirrored.append(views.mirrored.numpy())
        print(f"view {index + 1}/{COUNT}", flush=True)
    partial = out / "views.partial.npz"
    np.savez(partial, moved=np.stack(moved), mirrored=np.stack(mirrored), logits=np.stack(logits))
    partial.replace(out / "views.npz")


if __name__ == "__main__":
    main()
