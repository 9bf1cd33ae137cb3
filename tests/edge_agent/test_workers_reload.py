"""Several workers change versions as one, whichever is told, and whichever is replaced."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.edge_agent.test_workers import get, sample, send, until, workers_of
from tests.models import add_version, build_tiny_repository
from tests.processes import Service, edge, free_port


def post(service: Service, path: str) -> int:
    request = urllib.request.Request(f"http://{service.address}{path}", method="POST", data=b"")
    try:
        with urllib.request.urlopen(request, timeout=120) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def ready(service: Service, version: str) -> float:
    """How many workers serve a version."""
    text = get(service, "/metrics").decode()
    label = f'{{state="READY",task="tiny",version="{version}"}}'
    found = [
        line for line in text.splitlines() if line.startswith(f"hawkvision_task_version{label}")
    ]
    return sum(float(line.split()[-1]) for line in found)


def kill_one(service: Service) -> None:
    """Kill a worker, and wait for its successor."""
    before = workers_of(service)
    before[0].kill()

    def replaced() -> bool:
        with contextlib.suppress(OSError):  # a connection that the killed one had
            return len(set(workers_of(service)) - set(before)) == 1 and (
                sample(service, "hawkvision_workers") == len(before)
            )
        return False

    until(replaced)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return build_tiny_repository(tmp_path)


def test_all_workers_change_together_and_their_successors_follow(repository: Path) -> None:
    with edge(repository, f"127.0.0.1:{free_port()}", "--workers=2") as service:
        answered: list[int] = []
        traffic = threading.Thread(
            target=lambda: answered.append(asyncio.run(send(service, 300))), daemon=True
        )
        traffic.start()
        add_version(repository, "2")
        assert post(service, "/v2/repository/models/tiny/load") == 200
        until(lambda: ready(service, "2") == 2 and ready(service, "1") == 0)
        add_version(repository, "3")
        service.process.send_signal(signal.SIGHUP)
        until(lambda: ready(service, "3") == 2)
        traffic.join(120)
        assert answered == [300]  # every one with 200

        kill_one(service)
        until(lambda: ready(service, "3") == 2)

        assert post(service, "/v2/repository/models/tiny/unload") == 200
        until(lambda: ready(service, "3") == 0)
        kill_one(service)
        assert {post(service, "/v1/classify") for _ in range(8)} == {404}
        assert post(service, "/v2/repository/models/tiny/load") == 200
        until(lambda: ready(service, "3") == 2)
        assert service.terminate() == 0


def test_sighup_lets_a_single_process_look_for_new_versions(repository: Path) -> None:
    with edge(repository, f"127.0.0.1:{free_port()}") as service:
        add_version(repository, "2")
        service.process.send_signal(signal.SIGHUP)
        until(lambda: ready(service, "2") == 1)
        assert service.terminate() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_whose_terminal_goes_ends(repository: Path, workers: int) -> None:
    master, slave = pty.openpty()

    def own_terminal() -> None:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    command = [sys.executable, "-m", "hawkvision.cli", "edge", "--port=0", f"--workers={workers}"]
    with subprocess.Popen(
        [*command, f"--model-repository={repository}"],
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=(slave,),
        preexec_fn=own_terminal,
    ) as process:
        assert process.stdout is not None and b"ready" in process.stdout.readline()
        os.close(slave)
        os.close(master)
        assert process.wait(60) == 0
