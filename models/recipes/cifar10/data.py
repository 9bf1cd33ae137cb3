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

SEED = 20261121
"""Of everything that is drawn while the networks of this task are trained."""


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


@dataclass(frozen=True)
class Mixtures:
    """Views into which a box of another picture's view is mixed.

    `partner` int64 [N] names the other picture, `box` int64 [N,4] the rows and columns (from, to,
    from, to), `weight` float [N] the other's share there: the whole picture at a share below 1 is
    mixup (arXiv 1710.09412), a part of it at share 1 CutMix (arXiv 1905.04899), share 0 the view
    itself.
    """

    views: Views
    partner: Tensor
    box: Tensor
    weight: Tensor

    @classmethod
    def draw(cls, count: int, size: int, reach: int, generator: torch.Generator) -> Mixtures:
        """A third plain, a third mixup, a third CutMix, of `count` square pictures of `size` px."""
        views = Views.draw(count, reach, generator)
        partner = torch.randperm(count, generator=generator)
        kind = torch.randint(0, 3, (count,), generator=generator)
        weight = torch.rand(count, generator=generator) * 0.5
        side = (size * weight.sqrt()).round().long()
        place = torch.rand((2, count), generator=generator)
        first = (place * (size - side + 1)).long()
        cut = torch.stack([first[0], first[0] + side, first[1], first[1] + side], 1)
        box = torch.where((kind == 2)[:, None], cut, torch.tensor([0, size, 0, size]))
        weight = torch.where(kind == 0, 0.0, torch.where(kind == 1, weight, 1.0))
        return cls(views, partner, box, weight)

    def of(self, x: Tensor, chosen: Tensor) -> Tensor:
        """The mixtures, whole pixels float 0 to 255, of `x` uint8 [N,3,H,W] at `chosen`."""
        own = self.views.of(x, chosen)
        other = self.views.of(x, self.partner[chosen])
        top, bottom, left, right = self.box[chosen, :, None].unbind(1)
        rows, columns = torch.arange(own.shape[2]), torch.arange(own.shape[3])
        down, along = (rows >= top) & (rows < bottom), (columns >= left) & (columns < right)
        share = (down[:, :, None] & along[:, None, :]) * self.weight[chosen, None, None]
        return torch.lerp(own, other, share[:, None]).round()
