"""A page that is run, from its first command to its last, with what it prints compared."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.console import Step, lines, matches, plain, steps
from tests.docs.pages import Page
from tests.docs.shell import HANGS_S, Shell


@contextmanager
def session(page: Page, folder: Path, hangs_s: float = HANGS_S) -> Iterator[Shell]:
    """A shell in an empty folder, in which there is what a page's readers have."""
    place = folder / "page"
    with Shell(place, page.ports, page.defaults, page.stand_ins, hangs_s=hangs_s) as shell:
        for command in page.before:
            said, status = shell.run(Step(0, command))
            assert status == 0, f"before {page.path.name}: {command}\n{said}"
        yield shell


def fits(step: Step, said: str, status: int | None) -> bool:
    """Whether a command did and printed what the page says."""
    return matches(step, said) and (not status or step.may_fail)


def difference(step: Step, said: str, status: int | None) -> str:
    """What a page says against what was said."""
    differences = difflib.unified_diff(
        plain(lines(step.expected)), plain(said), "the page", "the command", lineterm=""
    )
    return "\n".join([f"line {step.line}: $ {step.command}", f"status {status}", *differences])


def missing(programs: Iterable[str]) -> list[str]:
    """Those of these programs that are not here."""
    return [program for program in programs if shutil.which(program) is None]


def run(page: Page, folder: Path) -> None:
    """Fails where a command prints another thing, twice: services that start say it when they can.

    A page, or the rest of it that was not run, is skipped with the programs that are not here.
    """
    if lacks := missing(page.needs):
        pytest.skip(f"{page.path.name} is not run: no {', '.join(lacks)} here")
    try:
        left_out = _attempt(page, folder / "first")
    except AssertionError as error:
        print(f"once more, because: {error}")
        left_out = _attempt(page, folder / "again")
    if left_out:
        pytest.skip(f"{page.path.name} was run but for {'; '.join(left_out)}")


def _attempt(page: Page, folder: Path) -> list[str]:
    """What was left out. Raises AssertionError."""
    folder.mkdir()
    left_out = []
    with session(page, folder) as shell:
        for step in steps(page.text):
            if lacks := missing(step.needs):
                left_out.append(f"line {step.line}: no {', '.join(lacks)} here")
                continue
            said, status = shell.run(step)
            assert fits(step, said, status), difference(step, said, status)
    return left_out
