"""Settings in a file: one spelling for both services, clear about what they do not know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from dc_gateway.command import command as dc
from edge_agent.command import command as edge
from hawkvision.serving.config_file import read_config


@click.command("serve")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    is_eager=True,
    callback=read_config,
    expose_value=False,
)
@click.option("--task", "tasks", multiple=True)
@click.option("--max-queue", type=click.IntRange(1), default=5)
@click.option("--control/--no-control", default=True)
def serve(**options: Any) -> None:
    click.echo(repr(sorted(options.items())))


def run(text: str, tmp_path: Path, *more: str, command: click.Command = serve) -> Any:
    (tmp_path / "agent.toml").write_text(text)
    return CliRunner().invoke(command, ["--config", str(tmp_path / "agent.toml"), *more])


@pytest.mark.parametrize(
    "text",
    [
        'task = ["a", "b"]\nmax-queue = 7\ncontrol = false',
        'tasks = ["a", "b"]\nmax_queue = 7\ncontrol = false',
    ],
)
def test_options_have_their_own_names_and_the_plural(text: str, tmp_path: Path) -> None:
    done = run(text, tmp_path)
    wanted = [("control", False), ("max_queue", 7), ("tasks", ("a", "b"))]
    assert done.output.strip() == repr(wanted)


def test_one_value_need_not_be_a_list_and_the_command_line_wins(tmp_path: Path) -> None:
    done = run('task = "a"\nmax-queue = 7', tmp_path, "--max-queue", "9")
    assert "('max_queue', 9)" in done.output and "('tasks', ('a',))" in done.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max-que = 7", "unknown setting 'max-que'; is 'max-queue' meant?"),
        ("max-queue = 0", "max-queue: 0 is not in the range"),
        ('max-queue = "many"', "max-queue: 'many' is not a valid integer"),
        ("max-queue = [1]", "max-queue takes one value"),
        ("control = 3", "control is true or false"),
        ("max-queue = 1\nmax_queue = 2", "given twice"),
        ("max-queue = ", "Invalid value"),
        ("config = 'x'", "unknown setting 'config'"),
    ],
)
def test_what_cannot_be_is_said_with_the_file_s_name(text: str, said: str, tmp_path: Path) -> None:
    done = run(text, tmp_path)
    assert done.exit_code == 2 and said in " ".join(done.output.split())
    assert "agent.toml" in done.output and "Traceback" not in done.output


@pytest.mark.parametrize("command", [edge, dc], ids=["edge", "dc"])
@pytest.mark.parametrize("key", ["task", "tasks"])
def test_both_services_read_the_same_file(
    command: click.Command, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dc_gateway.server
    import edge_agent.agent

    seen: list[tuple[str, ...]] = []
    for module in (dc_gateway.server, edge_agent.agent):
        monkeypatch.setattr(module, "run", lambda config: seen.append(config.tasks))
    done = run(f'{key} = ["roadsigns"]\nport = 0', tmp_path, command=command)
    assert done.exit_code == 0, done.output
    assert seen == [("roadsigns",)]
