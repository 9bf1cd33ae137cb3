"""Makes `stranger.onnx`: `python -m tests.data.stranger` (extra `train`), some seconds on one core.

A small convolutional network, trained on the coloured test images and exported by PyTorch: NCHW,
float32, torchvision's normalisation, a fixed batch of one, logits, labels in an order of its own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from hawkvision.images import InputGeometry, decode, fit
from tests.models import LABELS, coloured_jpeg

ORDER = ("grey", "blue", "red", "green")
SIDE = 24
SEED = 7


def main() -> None:
    """Train and export."""
    torch.manual_seed(SEED)
    geometry = InputGeometry(SIDE, SIDE)
    mean = np.array([123.675, 116.28, 103.53], np.float32)
    std = np.array([58.395, 57.12, 57.375], np.float32)
    images = [
        fit(decode(coloured_jpeg(LABELS[index % 4], seed=index + 1)), geometry)
        for index in range(2000)
    ]
    y = torch.tensor([ORDER.index(LABELS[index % 4]) for index in range(2000)])
    x = torch.tensor(((np.stack(images) - mean) / std).transpose(0, 3, 1, 2).astype(np.float32))
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    )
    optimiser = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(150):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimiser.step()
    print("accuracy", float((net(x).argmax(1) == y).float().mean()))
    path = Path(__file__).with_name("stranger.onnx")
    example = (torch.zeros(1, 3, SIDE, SIDE),)
    torch.onnx.export(net.eval(), example, str(path), dynamo=False, opset_version=17)


if __name__ == "__main__":
    main()
