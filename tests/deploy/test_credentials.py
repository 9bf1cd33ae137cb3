"""`deploy/credentials`: certificates, Redis' users, and nothing is made twice."""

from __future__ import annotations

import re
import ssl
import stat
import subprocess
from pathlib import Path

import pytest

from tests.deploy.tools import DEPLOY, run, tool
from tests.processes import free_port


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tool("openssl")
    folder = tmp_path_factory.mktemp("site") / "secrets"
    run(DEPLOY / "credentials", folder, "gateway=dc.example,127.0.0.1", "edge-1=pole.example,::1")
    return folder


def test_certificates_are_what_strict_readers_want(secrets: Path) -> None:
    for name in ("gateway", "edge-1"):
        run("openssl", "verify", "-x509_strict", "-CAfile", "ca.pem", f"{name}.pem", cwd=secrets)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(secrets / f"{name}.pem", secrets / f"{name}.key")
    said = run(
        "openssl", "x509", "-in", "edge-1.pem", "-noout", "-ext", "subjectAltName", cwd=secrets
    )
    assert "DNS:pole.example" in said and "IP Address:0:0:0:0:0:0:0:1" in said


def test_only_their_owner_reads_secrets(secrets: Path) -> None:
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    for file in secrets.iterdir():
        mode = stat.S_IMODE(file.stat().st_mode)
        assert mode == (0o644 if file.suffix == ".pem" else 0o600), file.name
    password = (secrets / "store-password").read_text()
    assert len(password) == 64
    assert password not in (secrets / "users.acl").read_text()


def test_nothing_that_exists_is_made_again(secrets: Path) -> None:
    before = {file.name: file.read_bytes() for file in secrets.iterdir()}
    said = run(DEPLOY / "credentials", secrets, "gateway=dc.example", "edge-2=other.example")
    assert "edge-2.pem" in said and "gateway.pem" not in said
    after = {file.name: file.read_bytes() for file in secrets.iterdir()}
    assert {name: after[name] for name in before} == before
    run("openssl", "verify", "-CAfile", "ca.pem", "edge-2.pem", cwd=secrets)


@pytest.mark.parametrize("name", ["no-address", "../up=a", "=a", "a b=c"])
def test_a_name_that_is_none_is_refused(secrets: Path, name: str) -> None:
    done = subprocess.run([DEPLOY / "credentials", secrets, name], capture_output=True, text=True)
    assert done.returncode == 1 and "credentials:" in done.stderr


def test_redis_user_has_the_rights_that_the_documentation_names(secrets: Path) -> None:
    page = (DEPLOY.parent / "docs" / "operate.md").read_text()
    named = re.search(r"user fleet on .*?(-@all[^`]*)```", page, re.DOTALL)
    assert named is not None
    line = (secrets / "users.acl").read_text().splitlines()[1]
    assert line.split("&hawkvision:changes ")[1].split() == named[1].split()


def test_redis_takes_the_users(secrets: Path) -> None:
    server, client = tool("redis-server"), tool("redis-cli")
    port = str(free_port())
    command = [server, "--port", port, "--save", "", "--aclfile", str(secrets / "users.acl")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            while "Ready to accept" not in (line := running.stdout.readline()):
                assert line, "redis-server ended"
            password = (secrets / "store-password").read_text()
            ask = [client, "-p", port, "--no-auth-warning"]
            assert "NOAUTH" in run(*ask, "PING")
            ours = [*ask, "--user", "hawkvision", "--pass", password]
            assert run(*ours, "SET", "hawkvision:x", "1").strip() == "OK"
            assert "NOPERM" in run(*ours, "SET", "other:x", "1")
            assert "NOPERM" in run(*ours, "CONFIG", "GET", "*")
        finally:
            running.terminate()
