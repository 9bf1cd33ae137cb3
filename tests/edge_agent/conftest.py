"""The tiny task, once for the session."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.local import LocalTask
from tests.edge_agent.agents import tiny_task
from tests.models import build_tiny_repository


@pytest.fixture(scope="session")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="session")
def local(tiny_repository: Path) -> LocalTask:
    return tiny_task(tiny_repository)
