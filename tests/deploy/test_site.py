"""The site of compose.yaml with its own files and commands, as processes of this machine."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.deploy.tools import DEPLOY, tool
from tests.models import coloured_jpeg
from tests.processes import Service, free_port, running

PORTS = {"gateway:8001": "gateway", "redis:6379": "redis"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of deploy/compose whose secrets were made by its own `prepare`."""
    tool("openssl")
    copy = tmp_path_factory.mktemp("site") / "compose"
    shutil.copytree(DEPLOY / "compose", copy, ignore=shutil.ignore_patterns("secrets"))
    shutil.copy(DEPLOY / "credentials", copy.parent)
    command = copy.parent / "hawkvision"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m hawkvision.cli "$@"\n')
    command.chmod(0o755)
    subprocess.run(
        [copy / "prepare"], check=True, env={"PATH": "/usr/bin:/bin", "HAWKVISION": str(command)}
    )
    return copy


@contextmanager
def redis(folder: Path, port: int) -> Iterator[None]:
    server = tool("redis-server")
    words = yaml.safe_load((folder / "compose.yaml").read_text())["services"]["redis"]["command"]
    words = [server, *words[1:]]
    data = folder / "data"
    data.mkdir(exist_ok=True)
    for number, word in enumerate(words):
        if word == "6379":
            words[number] = str(port)
        words[number] = words[number].replace("/run/secrets", str(folder / "secrets"))
        if words[number] == "/data":
            words[number] = str(data)
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            while "Ready to accept" not in (line := process.stdout.readline()):
                assert line, "redis-server ended"
            yield
        finally:
            process.terminate()


def local(folder: Path, name: str, **ports: int) -> str:
    """A configuration file of the site with addresses and folders of here."""
    text = (folder / name).read_text()
    text = text.replace("/run/secrets", str(folder / "secrets"))
    text = text.replace("/var/lib/hawkvision", str(folder))
    text = text.replace("port = 9091", "port = 0").replace("port = 8001", "port = 0")
    text = text.replace("port = 8080", "port = 0").replace('"0.0.0.0"', '"127.0.0.1"')
    for address, which in PORTS.items():
        if which in ports:
            text = text.replace(address, f"127.0.0.1:{ports[which]}")
    there = folder / f"local-{name}"
    there.write_text(text)
    return str(there)


def ask(agent: Service, folder: Path, path: str, key: str | None, body: bytes | None) -> str:
    secrets = folder / "secrets"
    headers = {}
    if key is not None:
        headers["Authorization"] = f"Bearer {(secrets / f'{key}.key').read_text()}"
    url = f"https://{agent.address.removeprefix('https://')}{path}"
    request = urllib.request.Request(url, data=body, headers=headers)
    trust = ssl.create_default_context(cafile=str(secrets / "ca.pem"))
    with urllib.request.urlopen(request, timeout=60, context=trust) as reply:
        return str(reply.read().decode())


def test_agent_gateway_and_redis_with_tls_and_keys(folder: Path) -> None:
    port = free_port()
    with (
        redis(folder, port),
        running("dc", "--config", local(folder, "gateway.toml")) as dc,
        running(
            "edge", "--config", local(folder, "edge.toml", gateway=dc.port, redis=port)
        ) as agent,
    ):
        image = coloured_jpeg("red")
        path = "/v1/classify?task=roadsigns&accuracy=relative:0.0001"
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(agent, folder, path, None, image)
        assert refused.value.code == 401
        refused.value.close()
        answer = json.loads(ask(agent, folder, path, "client", image))
        assert answer["served_by"] == "dc" and answer["degraded"] is None
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(agent, folder, "/metrics", "client", None)
        assert refused.value.code == 403
        refused.value.close()
        assert "hawkvision_answers_total{" in ask(agent, folder, "/metrics", "metrics", None)
        found = json.loads(ask(agent, folder, "/v1/gateways", "operator", None))
        assert len(found["gateways"]) == 1 and not found["gateways"][0]["reason"]
        said = agent.output + dc.output
    secret = [file.read_text() for file in (folder / "secrets").glob("*.key")]
    secret.append((folder / "secrets" / "store-password").read_text())
    assert not [one for one in secret if one in said]
