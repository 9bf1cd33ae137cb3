"""A task packed for a board."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from fpga.network.files import save_network
from fpga.vivado.package import package_board
from hawkvision.cli.main import cli
from hawkvision.errors import RepositoryError
from tests.fpga.networks import SMALL


def test_a_package_holds_the_task_and_the_bitstream_beside_its_rung(tmp_path: Path) -> None:
    task = tmp_path / "signs" / "3"
    task.mkdir(parents=True)
    (task / "task.toml").write_text("")
    bit, hwh = tmp_path / "b.bit", tmp_path / "b.hwh"
    bit.write_bytes(b"bits")
    hwh.write_text("<x/>")
    with pytest.raises(RepositoryError, match=r"edge\.fpga\.npz"):
        package_board(task, bit, hwh, tmp_path / "out.tar.gz")
    save_network(SMALL, task / "edge.fpga.npz")
    arguments = ["fpga", "package", "--task", str(task), "--bit", str(bit), "--hwh", str(hwh)]
    out = tmp_path / "out.tar.gz"
    assert not cli([*arguments, "--out", str(out)], standalone_mode=False)
    with tarfile.open(out) as archive:
        assert sorted(archive.getnames()) == [
            f"signs/3/{name}" for name in ("edge.bit", "edge.fpga.npz", "edge.hwh", "task.toml")
        ]
        stream = archive.extractfile("signs/3/edge.bit")
        assert stream is not None and stream.read() == b"bits"
