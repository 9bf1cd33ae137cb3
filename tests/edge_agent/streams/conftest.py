"""An agent and a gateway with the task of photos, for each file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hawkvision.repository import shipped_repository
from tests.edge_agent.streams.talking import TASK
from tests.processes import Service, edge, gateway


@pytest.fixture(scope="module")
def agent() -> Iterator[Service]:
    with (
        gateway(shipped_repository(), *TASK) as dc,
        edge(shipped_repository(), dc.address, *TASK) as service,
    ):
        yield service
