"""Numbered pictures for cameras to send, and an agent to send them to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from hawkvision.images import decode
from hawkvision.repository import shipped_repository
from tests.processes import Service, edge, gateway
from tests.system.cameras.senders import TASK, photos


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequence")
    for index, data in enumerate(photos()):
        (folder / f"{index:05d}.jpg").write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def references(sequence: Path) -> list[npt.NDArray[np.uint8]]:
    return [decode(path.read_bytes()) for path in sorted(sequence.glob("*.jpg"))]


@pytest.fixture(scope="module")
def agent() -> Iterator[Service]:
    with (
        gateway(shipped_repository(), *TASK) as dc,
        edge(shipped_repository(), dc.address, *TASK) as service,
    ):
        yield service
