"""CIFAR-10 in memory, and the views of it that training sees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hawkvision.datasets import open_labelled
from models.recipes.samples import Sample


def load(data: Path, split: str) -> tuple[list[str], Tensor, Tensor]:
    """Class names, uint8 [N,3,32,32] and classes [N] of a split, in the order of the archive."""
    found = open_labelled(data, split)
    index = {label: i for i, label in enumerate(found.labels)}
    pictures, classes = [], []
    for image in found:
        classes.append(index[image.label])
        pictures.append(Sample(image.data, classes[-1]).decode())
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    return list(found.labels), stacked, torch.tensor(classes)


@dataclass(frozen=True)
class Views:
    """How each of N pictures is moved and mirrored: `down`, `right` int64 [N], `mirrored` bool [N].

    `reach` px are the most that it moves each way.
    """

    down: Tensor
    right: Tensor
    mirrored: Tensor
    reach: int

    @classmethod
    def draw(cls, count: int, reach: int, generator: torch.Generator) -> Views:
        """At random."""
        down, right = torch.randint(0, 2 * reach + 1, (2, count), generator=generator)
        return cls(down, right, torch.rand(count, generator=generator) < 0.5, reach)

    def of(self, x: Tensor, chosen: Tensor) -> Tensor:
        """The views float 0 to 255 of `x` uint8 [N,3,H,W] at the indices `chosen`."""
        part = torch.where(self.mirrored[chosen, None, None, None], x[chosen].flip(3), x[chosen])
        _, _, height, width = part.shape
        padded = functional.pad(part.float(), (self.reach,) * 4, mode="reflect")
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)
        return windows[torch.arange(len(part)), :, self.down[chosen], self.right[chosen]]
