"""What the large network says of mixtures: `python -m models.recipes.cifar10.views --data …`.

Students see the same mixtures of moved pictures, so the large network answers each of them once and
not in every epoch. Mixing matters: on plain views of the pictures that it was trained on, the large
network is right 99.4 times of 100, and a student that copies that learns them by heart as well
("A good teacher is patient and consistent", arXiv 2106.05237).
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from models.recipes.cifar10 import data as pictures
from models.recipes.cifar10.large import load_large

COUNT = 16
REACH = 3
"""Pixels by which a view is shifted at most."""


def mixtures(epoch: int, count: int, size: int) -> pictures.Mixtures:
    """The mixtures of an epoch, of `count` square pictures of `size` px; always the same."""
    generator = torch.Generator().manual_seed(pictures.SEED + 1 + epoch % COUNT)
    return pictures.Mixtures.draw(count, size, REACH, generator)


def path_of(folder: Path, epoch: int) -> Path:
    """Where the answers are that an epoch learns from; the sets come in turn."""
    return folder / "views" / f"{epoch % COUNT:02}.npz"


def answers(folder: Path, epoch: int) -> Tensor:
    """Logits float32 [N,classes] of the large network for the mixtures of that epoch."""
    with np.load(path_of(folder, epoch)) as file:
        return torch.from_numpy(file["logits"]).float()


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/train/cifar10"))
def main(data: Path, out: Path) -> None:
    """Write `views/` with the answers of `teacher.pt`; what is there stays."""
    torch.set_num_threads(1)
    teacher = load_large(out, "teacher")
    _, x, _ = pictures.load(data, "train")
    (out / "views").mkdir(exist_ok=True)
    for index in range(COUNT):
        path = path_of(out, index)
        if path.exists():
            continue
        mixed = mixtures(index, len(x), x.shape[-1])
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            parts = [
                teacher(mixed.of(x, chosen)).to(torch.float16)
                for chosen in torch.arange(len(x)).split(500)
            ]
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, logits=torch.cat(parts).numpy())
        partial.replace(path)
        print(f"view {index + 1}/{COUNT}", flush=True)


if __name__ == "__main__":
    main()
