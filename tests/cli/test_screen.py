"""What the command line prints fits 80 columns and any encoding, and holds all of its numbers."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from rich.console import RenderableType

import hawkvision
from hawkvision.cli.accuracy import table
from hawkvision.cli.main import cli
from hawkvision.cli.output import Folded, results_table, said, screen
from hawkvision.cli.plain import plain_where_needed
from hawkvision.contract.answer import Answer
from hawkvision.contract.delivered import Report
from hawkvision.repository import Repository, shipped_repository
from hawkvision.taskbuild.evaluation import Row
from tests.client.agent import serving
from tests.contract.bodies import ANSWER, COUNTING, TASK_REPORT

WIDTH = 80


def commands(command: click.Command, *words: str) -> Iterator[tuple[str, ...]]:
    """Every command and group, by its words."""
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, *words, name)


def run(*words: str) -> Result:
    """A command on a screen of 80 columns, all of whose lines fit."""
    done = CliRunner(env={"COLUMNS": str(WIDTH)}).invoke(cli, words, prog_name="hawkvision")
    assert done.exit_code == 0, done.output
    assert [line for line in done.output.splitlines() if len(line) > WIDTH] == []
    return done


def cells(text: str) -> list[list[str]]:
    """The rows of all tables, line by line."""
    return [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in text.splitlines()
        if line.startswith("│")
    ]


@pytest.mark.parametrize("name", sorted(entry_points(group="hawkvision.commands").names))
def test_every_command_s_help_fits(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for words in commands(command, name):
        assert "--help" in run(*words, "--help").output


def test_the_command_s_own_help_and_version_fit() -> None:
    assert "calibrate" in run("--help").output
    assert run("--version").output == f"hawkvision, version {hawkvision.__version__}\n"


@pytest.mark.parametrize("task", Repository(shipped_repository()).tasks())
def test_models_show_keeps_every_number(task: str, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    text = run("models", "show", task, "--json", str(out)).output
    body, rows = json.loads(out.read_text()), cells(text)
    assert "…" not in text
    for row in body["targets"]:
        if row["certified"]:
            threshold, share = f"{row['threshold']:.4f}", f"{row['escalation_rate']:.1%}"
            assert any({threshold, share, f"{row['accuracy']:.3f}"} <= set(one) for one in rows)
    for row in body["relative"]:
        assert any({f"{row['epsilon']:g}", f"{row['threshold']:.4f}"} <= set(one) for one in rows)
    for row in body["levels"]:
        numbers = {f"{row['edge_accuracy']:.3f}", f"{row['dc_accuracy']:.3f}"}
        assert any(numbers <= set(one) for one in rows)
    for rung in body["rungs"]:
        assert f"{rung['bytes'] / 1000:,.0f} kB" in text and f"{rung['temperature']:.3f}" in text
        for name, value in rung["measured"].items():
            assert f"{name} {value:.10g}" in text


def test_models_list_keeps_every_number(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    text = run("models", "list", "--json", str(out)).output
    for task in json.loads(out.read_text())["tasks"]:
        assert any(
            one[:3] == [task["name"], task["version"], str(len(task["labels"]))]
            for one in cells(text)
        )


@pytest.mark.parametrize("columns", ["30", "60"])
@pytest.mark.parametrize(
    "words", [("models", "list"), ("models", "show", "roadsigns"), ("models", "show", "cifar10")]
)
def test_a_narrower_screen_loses_nothing_either(words: tuple[str, ...], columns: str) -> None:
    wide = CliRunner(env={"COLUMNS": "200"}).invoke(cli, words)
    narrow = CliRunner(env={"COLUMNS": columns}).invoke(cli, words)
    assert narrow.exit_code == 0 and "…" not in narrow.output
    assert sorted(_words(narrow.output)) == sorted(_words(wide.output))


def _words(text: str) -> list[str]:
    return [word for word in text.split() if any(map(str.isalnum, word))]


def test_accuracy_keeps_every_number() -> None:
    with serving() as agent:
        text = run("accuracy", "--url", agent.url).output
    (first, second) = cells(text)
    assert first == ["0.9", "20", "0.900", "12", "25%", "0.700"]
    assert second == ["", "", "0.800-0.950", "feedback", "", "steering"]
    assert "unavailable since" in text and "4 batches wait" in text


@pytest.mark.parametrize("columns", [20, 40, 60, 80])
def test_a_table_that_is_drawn_again_folds_on_a_narrow_screen(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    drawn = table(Report.parse(TASK_REPORT), "5m")
    screen().print(drawn)
    whole = capsys.readouterr().out
    screen().print(Folded(drawn))
    folded = capsys.readouterr().out
    assert max(map(len, folded.splitlines())) <= columns
    assert folded.replace("\n", "").replace(" ", "") == whole.replace("\n", "").replace(" ", "")


@pytest.mark.skipif(shutil.which("script") is None, reason="script is not installed")
def test_accuracy_that_is_watched_is_not_cut() -> None:
    """On a terminal of 60 columns, in which the table takes two lines for one."""
    command = f"exec {sys.executable} -m hawkvision.cli accuracy --watch --url"
    with serving() as agent:
        script = f"stty cols 60 rows 40; {command} {agent.url}"
        with subprocess.Popen(
            ["script", "-qefc", script, "/dev/null"],
            env={**os.environ, "TERM": "xterm", "COLUMNS": "60"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        ) as watched:
            assert watched.stdout is not None
            text = ""
            while text.count("└") < 2:  # drawn, and drawn again
                said = os.read(watched.stdout.fileno(), 65_536)
                assert said, text
                text += said.decode(errors="replace")
            watched.terminate()
    assert "…" not in text
    assert "accuracy" in text and "0.700" in text and "steering" in text


@pytest.fixture
def shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[RenderableType], str]:
    """Prints on a screen of 80 columns, all of whose lines fit, and gives the text."""
    monkeypatch.setenv("COLUMNS", str(WIDTH))

    def show(what: RenderableType) -> str:
        screen().print(what)
        text = capsys.readouterr().out
        assert [line for line in text.splitlines() if len(line) > WIDTH] == []
        assert "…" not in text
        return text

    return show


Shown = Callable[[RenderableType], str]


def test_a_fleet_s_large_numbers_fit(shown: Shown) -> None:
    report = Report.parse(TASK_REPORT)
    window = report.windows["5m"]
    busy = replace(
        window.overall,
        requests=123_456_789.0,
        escalation_rate=1.0,
        estimates={"prediction": replace(window.overall.estimates["prediction"], n=123_456_789.0)},
        source="prediction",
    )
    report = replace(
        report,
        windows={"5m": replace(window, targets={"relative:0.025": busy})},
        thresholds={"relative:0.025": replace(report.thresholds["0.9"], threshold=1.01)},
    )
    text = shown(table(report, "5m"))
    for part in ("123456789", "100%", "0.900", "0.800-0.950", "prediction", "1.010", "steering"):
        assert part in text
    assert "".join(line[0] for line in cells(text)) == "relative:0.025"


def test_results_fit_whatever_was_asked(shown: Shown) -> None:
    row = Row(
        target="relative:0.025",
        certified=False,
        n=10_000,
        achieved=0.9234,
        ci_low=0.91239,
        ci_high=0.93401,
        escalation_rate=1.0,
        p50_ms=1234.5,
        p99_ms=12_345.6,
        edge_bytes_up=123_456_000,
    )
    refused = Row(0.98, certified=False, n=0, highest_certifiable=0.97096)
    text = shown(results_table("a task with a long name", [row, refused, replace(row, target=0.9)]))
    for part in ("0.923 !", "0.912-0.935", "100%", "1234.5", "12345.6", "123456"):
        assert part in text
    assert ["0.98", "refused", "at most 0.970"] in [line[:3] for line in cells(text)]


def test_texts_are_shown_as_they_are(shown: Shown) -> None:
    assert "[red]" in shown(results_table("[red] :warning:", []))


@pytest.mark.parametrize(
    ("body", "text"), [(ANSWER, "green"), (COUNTING, "count 3, 3 where")], ids=["label", "count"]
)
def test_an_answer_of_any_kind_is_said_in_a_few_words(body: object, text: str) -> None:
    assert said(Answer.parse(body)) == text


ASCII = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": str(WIDTH)}


def ascii_run(*words: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "hawkvision.cli", *words]
    return subprocess.run(command, env=ASCII, capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "words",
    [("--help",), ("quantize", "--help"), ("models", "list"), ("models", "show", "roadsigns")],
    ids=" ".join,
)
def test_a_screen_that_knows_only_ascii_breaks_nothing(words: tuple[str, ...]) -> None:
    done = ascii_run(*words)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii() and done.stdout


def test_names_beyond_ascii_break_nothing_either(tmp_path: Path) -> None:
    photo = tmp_path / "café …\udcff.jpg"
    photo.write_bytes(b"image")
    with serving() as agent:
        done = ascii_run("classify", str(photo), "--url", agent.url)
    assert done.returncode == 0, done.stderr
    assert b"?.jpg: green" in done.stdout


def test_only_what_an_encoding_lacks_is_replaced() -> None:
    for encoding, text in (("utf-8", "5 … é\n"), ("ascii", "5 ... ?\n"), ("latin-1", "5 ... é\n")):
        out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        plain_where_needed(out)
        out.write("5 … é\n")
        out.seek(0)
        assert out.read() == text
