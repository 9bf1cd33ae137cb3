"""The shell in which pages are run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.console import Step
from tests.docs.shell import Shell


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


def test_what_serves_in_the_foreground_is_ended_by_ctrl_c(tmp_path: Path) -> None:
    serve = "trap 'echo over; exit 0' INT; echo up; while true; do sleep 0.01; done"
    with Shell(tmp_path / "page", (), {}) as shell:
        step = Step(1, f'bash -c "{serve}"', ["up", "^C"])
        assert shell.run(step) == ("up\nover\n", 0)
        assert shell.run(Step(2, "sleep 600", ["^C"])) == ("", 0)
        assert shell.run(Step(3, "echo still here")) == ("still here\n", 0)


def test_other_words_take_the_place_of_what_is_not_here(tmp_path: Path) -> None:
    with Shell(tmp_path / "page", (), {}, {"/var/lib/x": "here"}) as shell:
        assert shell.run(Step(1, "mkdir here; echo a >/var/lib/x/file; ls -d /var/lib/x/*")) == (
            "/var/lib/x/file\n",
            0,
        )
    assert (tmp_path / "page" / "here" / "file").read_text() == "a\n"
