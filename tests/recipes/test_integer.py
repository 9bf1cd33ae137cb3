"""The integer network agrees with the network that is trained. Needs torch and Brevitas."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed (extra train)")
pytest.importorskip("brevitas", reason="Brevitas is not installed (extra train)")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("blocks", [1, 2])
def test_integers_answer_as_the_quantized_network(blocks: int) -> None:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from models.recipes.cifar10.integer import to_integer
        from models.recipes.cifar10.nets import QuantResNet

    torch.manual_seed(blocks)
    rng = np.random.default_rng(blocks)
    net = QuantResNet(blocks)
    images = rng.integers(0, 256, (320 * 4, 32, 32, 3)).astype(np.uint8)

    def prepared(part: np.ndarray) -> torch.Tensor:
        return (torch.from_numpy(part).permute(0, 3, 1, 2).float() - 128) / 64

    net.train()
    with torch.no_grad():
        for start in range(0, len(images), 4):  # the quantizers learn their steps
            net(prepared(images[start : start + 4]))
        net.eval()
        wanted = net(prepared(images[:64])).numpy()
    network = to_integer(net, "test")
    found = network(images[:64]) * network.head.scale
    assert np.abs(found - wanted).max() < 0.1 * np.abs(wanted).max()
    assert (found.argmax(axis=1) == wanted.argmax(axis=1)).mean() > 0.9
