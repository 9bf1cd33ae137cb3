"""Each page that a newcomer follows says what its commands really print."""

from __future__ import annotations

import difflib
import shutil
from pathlib import Path

import pytest

from tests.docs.console import Step, matches, plain, steps
from tests.docs.pages import PAGES, Page
from tests.docs.shell import Shell
from tests.processes import HANGS_S


def difference(step: Step, said: str, status: int | None) -> str:
    """What a page says against what was said."""
    lines = difflib.unified_diff(
        plain("\n".join(step.expected)), plain(said), "the page", "the command", lineterm=""
    )
    return "\n".join([f"line {step.line}: $ {step.command}", f"status {status}", *lines])


@pytest.mark.timeout(2 * HANGS_S)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.name)
def test_its_commands_print_what_it_says(page: Page, tmp_path: Path) -> None:
    missing = [program for program in page.needs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{page.path.name} is not run: no {', '.join(missing)} here")
    with Shell(tmp_path / "page", page.ports, page.defaults) as shell:
        for step in steps(page.text):
            said, status = shell.run(step)
            fits = matches(step, said) and (not status or step.may_fail)
            assert fits, difference(step, said, status)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.name)
def test_it_has_commands(page: Page) -> None:
    assert len(list(steps(page.text))) > 10


def test_a_shell_keeps_variables_and_ends_what_goes_on(tmp_path: Path) -> None:
    with Shell(tmp_path / "page", (8080,), {"PLACE": "here:8080"}) as shell:
        assert shell.run(Step(1, "name=one")) == ("", 0)
        assert shell.run(Step(2, "echo $name $PLACE")) == ("one here:8080\n", 0)
        assert shell.run(Step(3, "(sleep 0.2; echo up; exec sleep 600) &", ["up"])) == (
            "up\n",
            None,
        )
        assert shell.run(Step(4, "false")) == ("", 1)
        said, _ = shell.run(Step(5, "echo $!"))
    assert not Path(f"/proc/{said.strip()}").exists()


def test_what_comes_soon_is_looked_at_until_it_is_there(tmp_path: Path) -> None:
    with Shell(tmp_path / "page", (), {}) as shell:
        look = Step(1, "echo x >>looks; wc -l <looks", ["3"], soon=True)
        assert shell.run(look) == ("3\n", 0)


def test_a_command_that_ends_the_shell_is_named(tmp_path: Path) -> None:
    with (
        Shell(tmp_path / "page", (), {}) as shell,
        pytest.raises(AssertionError, match="line 7: `exit 3` ended the shell"),
    ):
        shell.run(Step(7, "exit 3"))
