"""The integer network agrees with the network that is trained. Needs torch and Brevitas."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed (extra train)")
pytest.importorskip("brevitas", reason="Brevitas is not installed (extra train)")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("blocks", [(1, 2, 1), (2, 2, 2)])
def test_integers_answer_as_the_quantized_network(tmp_path: Path, blocks: tuple[int, ...]) -> None:
    import torch

    from fpga.network.qonnx import import_qonnx
    from fpga.network.streamline import streamline

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from models.recipes.cifar10.export import write_qonnx
        from models.recipes.cifar10.nets import QuantResNet

    torch.manual_seed(sum(blocks))
    rng = np.random.default_rng(sum(blocks))
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
    path = tmp_path / "net.qonnx"
    write_qonnx(net, path)
    network = streamline(import_qonnx(path), "test", 32)
    found = network(images[:64]) * network.head.scale
    assert np.abs(found - wanted).max() < 0.1 * np.abs(wanted).max()
    assert (found.argmax(axis=1) == wanted.argmax(axis=1)).mean() > 0.9


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bits", [4, 8])
def test_the_short_quantizer_is_the_one_of_brevitas(bits: int) -> None:
    import torch
    from brevitas.nn import QuantReLU as Plain

    from models.recipes.cifar10.nets import QuantReLU

    torch.manual_seed(bits)
    layer = QuantReLU(bits).train()
    for _ in range(70):  # longer than it looks for its step
        layer(torch.randn(4, 8, 6, 6))
    found = []
    for forward in (QuantReLU.forward, Plain.forward):
        x = (
            torch.randn(16, 8, 6, 6, generator=torch.Generator().manual_seed(1)) * 2
        ).requires_grad_()
        layer.zero_grad()
        out = forward(layer, x)
        (out * torch.arange(out.numel()).reshape(out.shape).sin()).sum().backward()
        (step,) = layer.parameters()
        found.append((out.detach(), x.grad, step.grad.clone()))
    (out, dx, step), (plain_out, plain_dx, plain_step) = found
    assert torch.equal(out, plain_out) and torch.allclose(dx, plain_dx, rtol=1e-5)
    assert (out == out.max()).sum() > 10  # some are beyond the last step
    assert torch.allclose(step, plain_step, rtol=1e-4)


def test_blocks_are_left_out_by_stage() -> None:
    import torch

    from models.recipes.cifar10.nets import BLOCKS, FloatResNet, without_blocks

    whole = FloatResNet(BLOCKS["accurate"])
    smaller = FloatResNet(BLOCKS["fast"])
    state = without_blocks(whole.state_dict(), BLOCKS["accurate"], BLOCKS["fast"])
    smaller.load_state_dict(state)
    for new, old in enumerate((0, 2, 3, 4)):
        assert torch.equal(smaller.blocks[new].conv2.weight, whole.blocks[old].conv2.weight)
