"""docs/start.md is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import START
from tests.docs.running import run
from tests.processes import HANGS_S


@pytest.mark.timeout(2 * HANGS_S)
def test_its_commands_print_what_it_says(tmp_path: Path) -> None:
    run(START, tmp_path)
