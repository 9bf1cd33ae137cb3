"""The references name all that there is, and every command of the documents runs as written."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import click
import pytest

import hawkvision.contract
from edge_agent.agent import Agent
from edge_agent.config import EdgeConfig
from edge_agent.loading import load_tasks
from hawkvision import errors, roadsigns
from hawkvision.cli.main import cli
from hawkvision.client import AsyncClient, Client
from hawkvision.client.lossy import LossyStream, Sending, StreamAnswer
from hawkvision.lossy.offer import StreamOffer, StreamRequest
from hawkvision.repository import shipped_repository
from tests.models import build_tiny_repository
from tests.processes import Service, edge

ROOT = Path(__file__).resolve().parents[1]
HTTP = (ROOT / "docs" / "http.md").read_text("utf-8")
SDK = (ROOT / "docs" / "sdk.md").read_text("utf-8")
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_ALREADY_THERE = "http://127.0.0.1:8080"


def blocks(text: str, language: str) -> list[str]:
    return [body for name, body in _BLOCK.findall(text) if name == language]


def names(text: str) -> set[str]:
    """Every name that stands as code, also at the end of `windows.….audits`."""
    prose = _BLOCK.sub("", text)
    return {part for code in _CODE.findall(prose) for part in re.findall(r"\w+", code)}


async def test_every_route_is_described(tmp_path: Path) -> None:
    config = EdgeConfig(model_repository=build_tiny_repository(tmp_path), port=0)
    agent = Agent(config, load_tasks(config))
    try:
        routes = {f"`{route.method} {route.path}`" for route in agent.routes}
    finally:
        await agent.close()
    assert len(routes) > 20
    assert [route for route in sorted(routes) if route not in HTTP] == []


def all_errors() -> list[type[errors.HawkVisionError]]:
    return [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.HawkVisionError)
    ]


def test_every_error_is_described() -> None:
    codes = {kind.code for kind in all_errors()} | {"not_found", "method_not_allowed"}
    assert codes - names(HTTP) == set()
    local = {"MalformedPacket", "StaleFence", "RepositoryError", "DatasetError", "CalibrationError"}
    assert {kind.__name__ for kind in all_errors()} - local - names(SDK) == set()


def contract() -> Iterator[type]:
    for module in pkgutil.iter_modules(hawkvision.contract.__path__):
        found = importlib.import_module(f"hawkvision.contract.{module.name}")
        for kind in vars(found).values():
            if isinstance(kind, type) and kind.__module__ == found.__name__:
                yield kind


_INSIDE = {"body", "what", "failure", "truth", "answer"}
"""Fields that stand for others: of the reader of bodies, and what an object's kind decides."""


def test_every_field_is_described() -> None:
    kinds = [kind for kind in contract() if is_dataclass(kind)] + [StreamOffer, StreamRequest]
    wanted = {field.name for kind in kinds for field in fields(kind)} - _INSIDE
    assert len(wanted) > 80
    assert wanted - names(HTTP) - {"interval_mcus"} == set()


def test_every_method_of_the_sdk_is_described() -> None:
    public = {
        name
        for kind in (Client, AsyncClient, LossyStream)
        for name, found in vars(kind).items()
        if not name.startswith("_") and callable(getattr(kind, name)) and found is not None
    }
    protocol = {"connection_made", "datagram_received", "error_received"}
    assert public - protocol - names(SDK) == set()
    made = {field.name for kind in (Sending, StreamAnswer) for field in fields(kind)}
    assert made - names(SDK) == set()
    given = set(inspect.signature(Client).parameters)
    assert given - names(SDK) == set()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a photo in it, as the pages assume."""
    root = tmp_path_factory.mktemp("pages")
    (root / "photo.jpg").write_bytes(next(iter(roadsigns.stream(1, seed=5))).jpeg)
    return root


@pytest.fixture(scope="module")
def agent() -> Iterator[Service]:
    with edge(shipped_repository(), "127.0.0.1:9", "--task", "roadsigns") as service:
        yield service


_CURL = r"""
curl() {
    case "$*" in
        */results*) set -- -D answered "$@" ;;
        *DELETE*streams*) until [ -s answered ]; do sleep 0.05; done ;;
    esac
    command curl -fsS --max-time 60 "$@"; echo
}"""
"""Who deletes a stream waits until its results are being answered: the example runs by itself."""


def test_the_examples_of_the_http_reference_run(agent: Service, folder: Path) -> None:
    _, *examples = blocks(HTTP, "sh")  # the first names the agent
    assert len(examples) > 4
    script = ["set -eu", _CURL]
    script += [f"url=http://{agent.address}", *examples, "wait"]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stderr, done.stdout[-500:])
    assert '"counted":true' in done.stdout and '"reason":"deleted"' in done.stdout


@pytest.mark.parametrize("number", range(len(blocks(SDK, "python"))))
def test_the_examples_of_the_sdk_run(agent: Service, folder: Path, number: int) -> None:
    code = blocks(SDK, "python")[number].replace(_ALREADY_THERE, f"http://{agent.address}")
    done = subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each `hawkvision …` of the documents: where it stands, and its words."""
    for page in PAGES:
        for block in blocks(page.read_text("utf-8"), "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                at = [index for index, word in enumerate(words) if Path(word).name == "hawkvision"]
                if at and (at[0] == 0 or "=" in words[at[0] - 1]):
                    yield page.name, [one for one in words[at[0] + 1 :] if one != "&"]


def inline_commands() -> Iterator[tuple[str, list[str]]]:
    """Each `hawkvision …` within a line of the documents."""
    for page in PAGES:
        prose = _BLOCK.sub("", page.read_text("utf-8"))
        for code in _CODE.findall(prose):
            if code.startswith("hawkvision "):
                yield page.name, code.replace("…", " ").replace("[", " ").split()[1:]


def known_options(words: list[str]) -> tuple[set[str], str]:
    """The options of the command that these words name, and its name."""
    command: click.Command = cli
    context = click.Context(cli)
    for word in words:
        if not isinstance(command, click.Group):
            break
        found = command.get_command(context, word)
        assert found is not None, f"no command {word!r}"
        command = found
    options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {
        "--help"
    }
    return options, str(command.name)


def test_every_command_of_the_documents_knows_its_options() -> None:
    found = [*commands(), *inline_commands()]
    assert len(found) > 60
    edge_options, _ = known_options(["edge"])
    for page, words in found:
        options, name = known_options(words)
        if name == "up":
            options |= edge_options
        given = {word.split("=")[0] for word in words if word.startswith("--")}
        assert given - options == set(), f"{page}: hawkvision {' '.join(words)}"


def shell_lines() -> Iterator[tuple[str, list[str]]]:
    """The words of each line of shell in the documents, without what stands before a program."""
    for page in PAGES:
        for block in blocks(page.read_text("utf-8"), "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                while words and "=" in words[0]:
                    words = words[1:]
                if words:
                    yield page.name, words


def test_every_target_of_make_in_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    found = [(page, words[1]) for page, words in shell_lines() if words[0] == "make"]
    inline = re.findall(r"`make ([a-z]+)", "".join(page.read_text("utf-8") for page in PAGES))
    assert len(found) > 2 and len(inline) > 2
    assert {target for _, target in found} | set(inline) <= targets


def test_every_module_that_the_documents_run_exists() -> None:
    found = {
        words[2]
        for _, words in shell_lines()
        if Path(words[0]).name == "python" and words[1] == "-m"
    } - {"venv", "locust"}
    assert len(found) > 4
    for name in found:
        path = ROOT / Path(*name.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), name
