"""Keys as people use them: made by a command, asked for by the agent, sent by other commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hawkvision.cli.asking import API_KEY
from hawkvision.client import Client
from hawkvision.errors import Forbidden, RateLimited, Unauthorized
from tests.models import build_tiny_repository, coloured_jpeg
from tests.processes import Service, edge, free_port


def run(*words: str, key: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hawkvision.cli", *words],
        env={**os.environ, **({} if key is None else {API_KEY: key})},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def created(path: Path, name: str, *more: str) -> str:
    done = run("keys", "create", name, "--file", str(path), *more)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("keys")
    (found / "photo.jpg").write_bytes(coloured_jpeg("red"))
    return found


@pytest.fixture(scope="module")
def camera(folder: Path) -> str:
    scopes = ("--scope", "classify", "--scope", "streams", "--scope", "read")
    return created(folder / "keys.toml", "camera", *scopes)


@pytest.fixture(scope="module")
def service(folder: Path, camera: str) -> Iterator[Service]:
    created(folder / "keys.toml", "slow", "--scope", "read", "--rate", "0.01", "--burst", "1")
    repository = build_tiny_repository(folder / "tasks")
    gateway = f"127.0.0.1:{free_port()}"
    with edge(repository, gateway, "--keys", str(folder / "keys.toml")) as found:
        yield found


def test_commands_send_the_key_of_the_variable(service: Service, folder: Path, camera: str) -> None:
    photo, url = str(folder / "photo.jpg"), f"http://{service.address}"
    asked = ("--url", url, "--accuracy", "0.5")
    for words in (
        ("classify", photo, *asked),
        ("accuracy", "--url", url),
        ("stream", "send", photo, *asked, "--deadline-ms", "20000"),
    ):
        done = run(*words, key=camera)
        assert done.returncode == 0, done.stderr
        assert camera not in done.stdout + done.stderr
        refused = run(*words)
        assert refused.returncode == 1
        assert "needs a key" in refused.stderr
    assert run("classify", photo, *asked, "--key", camera).returncode == 0


def test_the_sdk_sends_it_and_raises_what_is_refused(
    service: Service, folder: Path, camera: str
) -> None:
    url = f"http://{service.address}"
    slow = created(folder / "keys.toml", "slower", "--scope", "read", "--rate", "0.01")
    with Client(url, key=camera) as client:
        assert client.classify(folder / "photo.jpg", accuracy=0.5).label == "red"
        with pytest.raises(Forbidden, match="'camera' has not the scope feedback"):
            client.feedback("x", "red")
    with Client(url) as client, pytest.raises(Unauthorized):
        client.tasks()
    with Client(url, key=slow) as client:
        tasks = None
        while tasks is None:  # until the agent has looked at the file
            try:
                tasks = client.tasks()
            except Unauthorized:
                continue
        with pytest.raises(RateLimited) as told:
            client.tasks()
        assert told.value.retry_after_s > 60
    assert camera not in service.output and slow not in service.output
