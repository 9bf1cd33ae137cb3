"""Options of the agent that are neither numbers nor names."""

from __future__ import annotations

import click
import pytest

from hawkvision.serving.rung_options import megabytes, rungs


@pytest.mark.parametrize(
    ("text", "found"), [("1", 1), ("2", 2), (3, 3), ("64", 64), ("auto", "auto")]
)
def test_a_number_of_rungs(text: object, found: int | str) -> None:
    assert rungs(text) == found
    assert rungs(rungs(text)) == found


@pytest.mark.parametrize("text", ["0", "-1", "65", "1.5", "", "all", "٣", "9" * 5000, True])
def test_no_number_of_rungs(text: object) -> None:
    with pytest.raises(click.BadParameter, match="is neither 'auto' nor 1 to 64"):
        rungs(text)


@pytest.mark.parametrize(
    ("text", "found"), [("200MB", 200.0), ("1.5 GB", 1500.0), ("1GiB", 1073.741824)]
)
def test_a_size_of_memory(text: str, found: float) -> None:
    assert megabytes(text) == pytest.approx(found)
    assert megabytes(megabytes(text)) == pytest.approx(found)


@pytest.mark.parametrize("text", ["200", "MB", "-1MB", "nanMB", "1e3MB", "1TB", 200])
def test_no_size_of_memory(text: object) -> None:
    with pytest.raises(click.BadParameter, match="no size such as 200MB"):
        megabytes(text)
