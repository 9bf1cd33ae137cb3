"""The large network of CIFAR-10: what it learns from and how it is shipped. Needs torch."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed (extra train)")

import torch


def _pictures(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("generation", ["teacher", "dc"])
def test_the_folded_network_answers_as_the_trained_one(generation: str) -> None:
    from models.recipes.cifar10.export import FoldedAirbench
    from models.recipes.cifar10.large import Airbench

    torch.manual_seed(1)
    net = Airbench(generation)
    x = _pictures(64)
    net.whiten(x)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * parameter.std().nan_to_num(1) * 0.2)
        net.train()(x)  # batch norm learns its statistics
        net.eval()
        wanted = net(x)
        found = FoldedAirbench(net).eval()((x.float() - 128) / 64)
    assert torch.allclose(found, wanted, atol=1e-3 * float(wanted.abs().max()))


def test_labels_are_mixed_as_the_pixels_are() -> None:
    from models.recipes.cifar10.data import Mixtures
    from models.recipes.cifar10.teach import mixed_labels

    y = torch.arange(600) % 5
    x = torch.zeros(600, 3, 32, 32, dtype=torch.uint8) + (y * 60)[:, None, None, None].byte()
    mixed = Mixtures.draw(600, 32, 3, torch.Generator().manual_seed(1))
    labels = mixed_labels(y, mixed, 32, 5)
    assert torch.allclose(labels.sum(1), torch.ones(600))
    level = (labels * torch.arange(5) * 60).sum(1)
    pixels = mixed.of(x, torch.arange(600)).mean(dim=(1, 2, 3))
    assert (pixels - level).abs().max() < 0.51  # pixels are whole numbers
    assert (labels.max(1).values < 0.99).float().mean() > 0.4


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    from models.recipes.cifar10.teach import Run

    torch.set_num_threads(1)
    x, y = _pictures(24), torch.arange(24) % 10
    taught = torch.randn(24, 10, generator=torch.Generator().manual_seed(1))

    def begun() -> Run:
        torch.manual_seed(3)
        return Run("dc", 3, 1000)

    whole, first = begun(), begun()
    losses = [whole.train_epoch(x, y, taught) for _ in range(3)]
    first.train_epoch(x, y, taught)
    first.save(tmp_path / "dc.pt")
    second = begun()
    second.load(tmp_path / "dc.pt")
    assert [second.train_epoch(x, y, taught) for _ in range(2)] == pytest.approx(losses[1:])
    assert losses[2] < losses[0]


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    from models.recipes.cifar10.large import Airbench, load_large
    from models.recipes.cifar10.teach import Run

    run = Run("dc", 1, 1000)
    with pytest.raises(ValueError, match="no place for body"):
        run.start({"body.0.weight": torch.zeros(1)})
    run.start(Airbench("teacher").state_dict())
    run.save(tmp_path / "dc.pt")
    load_large(tmp_path, "dc")
    (tmp_path / "dc.pt").rename(tmp_path / "teacher.pt")
    with pytest.raises(RuntimeError, match="third"):
        load_large(tmp_path, "teacher")
