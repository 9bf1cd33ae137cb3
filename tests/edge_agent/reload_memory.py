"""What new versions cost in memory: `python -m tests.edge_agent.reload_memory [--workers N]`.

A real service loads copies of a shipped task, one after another, under traffic.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

from hawkvision.repository import Repository, shipped_repository
from tests.edge_agent.test_workers import send
from tests.models import add_version
from tests.processes import Service, edge, free_port

_MB = 1e6


def memory_of(service: Service) -> float:
    """MB of the process and its workers, pages that several share counted once (PSS)."""
    parent = psutil.Process(service.process.pid)
    return sum(one.memory_full_info().pss for one in (parent, *parent.children())) / _MB


def post(service: Service, path: str) -> bytes:
    request = urllib.request.Request(f"http://{service.address}{path}", method="POST", data=b"")
    with urllib.request.urlopen(request, timeout=300) as reply:
        return bytes(reply.read())


def freed(service: Service) -> None:
    """Wait until no version is on its way out."""
    while any(row["state"] == "UNLOADING" for row in json.loads(post(service, _INDEX))):
        time.sleep(0.1)


_INDEX = "/v2/repository/index"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--task", default="imagenette")
    parser.add_argument("--versions", type=int, default=6)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder)
        newest = Repository(shipped_repository()).open(asked.task)
        shutil.copytree(newest.folder, repository / asked.task / "1")
        up = f"127.0.0.1:{free_port()}"
        with edge(repository, up, f"--workers={asked.workers}") as service:
            asyncio.run(send(service, 400))
            print(f"version 1: {memory_of(service):.1f} MB")
            for number in range(2, asked.versions + 1):
                add_version(repository, str(number), asked.task)
                began = time.perf_counter()
                post(service, f"/v2/repository/models/{asked.task}/load")
                took_s = time.perf_counter() - began
                most = memory_of(service)
                asyncio.run(send(service, 400))
                freed(service)
                time.sleep(2)
                found = memory_of(service)
                print(
                    f"version {number}: loaded in {took_s:.2f} s, {most:.1f}, then {found:.1f} MB"
                )


if __name__ == "__main__":
    main()
