"""The page about a model for each target holds the figures of its run."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.bench.modeless.document import with_figures

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_holds_what_the_run_kept() -> None:
    page = (DOCS / "modeless.md").read_text("utf-8")
    assert with_figures(page, (DOCS / "modeless.json").read_text("utf-8")) == page


def test_a_page_without_a_place_for_figures_is_an_error() -> None:
    with pytest.raises(ValueError, match="no heading"):
        with_figures("# Something\n", "{}")
