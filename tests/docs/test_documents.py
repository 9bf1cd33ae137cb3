"""Every block of commands in every document is run, or says why not; every command exists."""

from __future__ import annotations

import ast
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from hawkvision.cli.main import cli
from tests.docs.blocks import SHELLS, blocks
from tests.docs.console import steps
from tests.docs.documents import PATHS, ROOT, all_blocks, inline_commands, shell_commands
from tests.docs.pages import PAGES

_OTHERS = {"venv", "locust", "pip", "pytest", "http.server", "json.tool"}
"""Modules that are not ours."""


def test_every_block_is_run_or_says_why_not(record_property: Callable[[str, object], None]) -> None:
    run = {page.path for page in PAGES}
    ways: Counter[str] = Counter()
    silent = []
    for path, block in all_blocks():
        place = f"{path.relative_to(ROOT)}, line {block.line}"
        if block.reason:
            ways["not run"] += 1
            print(f"{place} is not run: {block.reason}")
        elif block.test:
            ways["run by a test of their own"] += 1
            text = (ROOT / block.test).read_text("utf-8")
            assert path.name in text, f"{place} names {block.test}, which does not name it"
        elif path in run and block.language in (*SHELLS, "python"):
            ways["run"] += 1
        else:
            silent.append(place)
    said = ", ".join(f"{count} {way}" for way, count in sorted(ways.items()))
    print(f"blocks: {said}")
    record_property("blocks", said)
    assert silent == []
    assert ways["run"] > 50


def test_no_block_hides_its_commands() -> None:
    hidden = [
        f"{path.name}, line {block.line}"
        for path in PATHS
        for block in blocks(path.read_text("utf-8"))
        if block.language not in SHELLS and block.is_shell
    ]
    assert hidden == []


def test_every_page_that_is_run_has_commands_and_a_test_of_its_own() -> None:
    tests = {path.name for path in (Path(__file__).parent / "run").glob("test_*.py")}
    wanted = {f"test_{page.path.stem.lower().replace('-', '_')}.py" for page in PAGES}
    assert tests == wanted
    assert [page.path.name for page in PAGES if not list(steps(page.text))] == []


def command_of(words: tuple[str, ...]) -> tuple[click.Command, click.Context, list[str]]:
    """The command that these words name, and those that are left for it."""
    command: click.Command = cli
    context = click.Context(cli)
    left = list(words)
    while isinstance(command, click.Group) and left and not left[0].startswith("-"):
        found = command.get_command(context, left[0])
        assert found is not None, f"no command {left[0]!r}"
        command, context = found, click.Context(found, parent=context)
        left.pop(0)
    return command, context, left


def options_of(command: click.Command) -> set[str]:
    return {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {
        "--help"
    }


def test_every_command_knows_its_options() -> None:
    edge, _, _ = command_of(("edge",))
    found = [one for one in shell_commands() if one.program == "hawkvision"]
    found_inline = list(inline_commands("hawkvision"))
    assert len(found) > 60 and len(found_inline) > 20
    for one in (*found, *found_inline):
        command, _, left = command_of(one.words[1:])
        options = options_of(command)
        if command.name == "up":
            options |= options_of(edge)
        given = {word.split("=")[0] for word in left if word.startswith("--")}
        assert given - options - {"--version"} == set(), f"{one.place}: {' '.join(one.words)}"


def test_what_stands_as_a_whole_command_is_taken_by_its_parser() -> None:
    """Values too, but for files and folders, which are the reader's."""
    count = 0
    for one in shell_commands():
        if one.program != "hawkvision" or "…" in " ".join(one.words):
            continue
        command, context, left = command_of(one.words[1:])
        if isinstance(command, click.Group) or command.name == "up":
            continue  # `up` hands on what it does not know
        values, rest, _ = command.make_parser(context).parse_args(list(left))
        for parameter in command.params:
            given = values.get(parameter.name or "")
            if given is not None and not isinstance(parameter.type, (click.Path, click.File)):
                parameter.type_cast_value(context, given)
        takes = [one for one in command.params if isinstance(one, click.Argument)]
        assert not rest or takes, f"{one.place}: {' '.join(one.words)}"
        count += 1
    assert count > 60


def options_in(path: Path) -> set[str]:
    """What a module's source gives to argparse or click."""
    return {
        word.value
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        for word in node.args
        if isinstance(word, ast.Constant)
        and isinstance(word.value, str)
        and word.value.startswith("-")
    }


def test_every_module_exists_and_knows_its_options() -> None:
    python = re.compile(r"python[\d.]*")
    found = [
        one
        for one in (*shell_commands(), *inline_commands("python"))
        if python.fullmatch(one.program) and one.words[1:2] == ("-m",)
    ]
    assert len(found) > 20
    for one in found:
        name, *left = one.words[2:]
        if name in _OTHERS:
            continue
        path = ROOT / Path(*name.split("."))
        file = (
            path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__main__.py"
        )
        assert file.is_file(), f"{one.place}: no module {name}"
        given = {word.split("=")[0] for word in left if word.startswith("--")}
        assert given - options_in(file) == set(), f"{one.place}: {' '.join(one.words)}"


def test_every_target_of_make_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    found = [*shell_commands(), *inline_commands("make")]
    named = {one.words[1] for one in found if one.program == "make"}
    assert len(named) > 4
    assert named <= targets


def test_every_script_of_ours_exists() -> None:
    named = {
        one.words[0]
        for one in shell_commands()
        if one.words[0].startswith(("scripts/", "deploy/", "./"))
    } - {"./prepare"}
    assert named
    assert [one for one in sorted(named) if shutil.which(ROOT / one) is None] == []


@pytest.mark.skipif(sys.platform != "linux", reason="Redis's and curl's names are Debian's")
def test_the_programs_that_pages_need_are_named() -> None:
    """So that a page whose programs are missing is skipped, and does not fail."""
    for page in PAGES:
        text = "\n".join(step.command for step in steps(page.text)) + "\n".join(page.before)
        for program in ("curl", "openssl", "redis-server"):
            if re.search(rf"(^|[ (;]){program} ", text, re.MULTILINE):
                assert program in page.needs, f"{page.path.name} runs {program}"
