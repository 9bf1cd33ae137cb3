"""What clients say where TLS stands between them and an agent."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hawkvision.client import AsyncClient, Client
from hawkvision.errors import AgentUnreachable
from tests.client.agent import serving

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signed itself, with its key in one file."""
    folder = tmp_path_factory.mktemp("tls")
    path, key = folder / "cert.pem", folder / "key.pem"
    line = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        f"-keyout {key} -out {path} -subj /CN=agent -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(line.split(), check=True, capture_output=True)
    return path


@pytest.fixture
def context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    return context


Ask = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """The tasks that an agent names, through a client of either kind."""

    def blocking(url: str, **options: Any) -> Any:
        with Client(url, **options) as client:
            return client.tasks()

    def awaited(url: str, **options: Any) -> Any:
        async def run() -> Any:
            async with AsyncClient(url, **options) as client:
                return await client.tasks()

        return asyncio.run(run())

    return blocking if request.param == "sync" else awaited


def test_an_authority_of_one_s_own_is_trusted(
    context: ssl.SSLContext, certificate: Path, ask: Ask
) -> None:
    with serving(context) as agent:
        assert [task.name for task in ask(agent.url, ca=certificate)] == ["tiny"]


def test_an_authority_may_come_from_the_environment(
    context: ssl.SSLContext, certificate: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(context) as agent:
        assert [task.name for task in ask(agent.url)] == ["tiny"]


def test_a_certificate_that_nobody_signed_is_not_trusted_and_says_why(
    context: ssl.SSLContext, ask: Ask
) -> None:
    with serving(context) as agent, pytest.raises(AgentUnreachable, match="self-signed") as caught:
        ask(agent.url)
    assert "SSL_CERT_FILE" in caught.value.hint


def test_a_certificate_for_another_name_says_so(
    context: ssl.SSLContext, certificate: Path, ask: Ask
) -> None:
    with serving(context) as agent, pytest.raises(AgentUnreachable, match="localhost"):
        ask(agent.url.replace("127.0.0.1", "localhost"), ca=certificate)


def test_an_agent_that_speaks_plain_http_is_told_from_one_that_is_away(ask: Ask) -> None:
    with serving() as agent, pytest.raises(AgentUnreachable, match="no TLS with") as caught:
        ask(agent.url.replace("http:", "https:"))
    assert "http://" in caught.value.hint


def test_plain_http_to_an_agent_with_tls_hints_at_it(context: ssl.SSLContext, ask: Ask) -> None:
    with serving(context) as agent, pytest.raises(AgentUnreachable) as caught:
        ask(agent.url.replace("https:", "http:"))
    assert "https" in caught.value.hint
