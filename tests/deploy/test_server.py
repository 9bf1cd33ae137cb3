"""docs/deploy/server.md: its files, its commands and the units fit together."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import pytest

from dc_gateway.command import command as gateway_command
from edge_agent.command import command as edge_command
from hawkvision.serving.config_file import read_config
from tests.deploy.tools import DEPLOY

PAGE = (DEPLOY.parent / "docs" / "deploy" / "server.md").read_text("utf-8")
COMMANDS = {"edge": edge_command, "gateway": gateway_command}
FILES = {
    name: re.search(rf"`/etc/hawkvision/{name}\.toml`.*?```toml\n(.*?)```", PAGE, re.DOTALL)
    for name in COMMANDS
}


def written(service: str) -> str:
    found = FILES[service]
    assert found is not None
    return found[1]


def handed(service: str) -> dict[str, str]:
    """What systemd hands the service: the credential's name and the file it is read from."""
    unit = (DEPLOY / "systemd" / f"hawkvision-{service}.service").read_text("utf-8")
    return dict(re.findall(r"^LoadCredential=(\S+?):(\S+)$", unit, re.MULTILINE))


@pytest.mark.parametrize("service", COMMANDS)
def test_the_service_takes_the_file(service: str, tmp_path: Path) -> None:
    for name in handed(service):
        (tmp_path / name).touch()
    file = tmp_path / "settings.toml"
    folder = f"/run/credentials/hawkvision-{service}.service"
    file.write_text(written(service).replace(folder, str(tmp_path)))
    context = click.Context(COMMANDS[service])
    read_config(context, COMMANDS[service].params[0], file)
    assert set(context.default_map or ()) >= {"host", "tls_cert", "tls_key"}


@pytest.mark.parametrize("service", COMMANDS)
def test_every_secret_that_it_names_is_handed_over(service: str) -> None:
    folder = f"/run/credentials/hawkvision-{service}.service/"
    named = {
        value.removeprefix(folder)
        for value in tomllib.loads(written(service)).values()
        if isinstance(value, str) and value.startswith("/run/")
    }
    assert named == set(handed(service))


@pytest.mark.parametrize("service", COMMANDS)
def test_every_file_that_systemd_reads_is_made_on_the_page(service: str) -> None:
    names = re.findall(r"(\w+)=\S+", re.findall(r"deploy/credentials .*", PAGE)[0])
    made = {
        "ca.pem",
        "store-password",
        *(f"{name}.{end}" for name in names for end in ("pem", "key")),
    }
    made |= set(re.findall(r"keys create \S+ --file /etc/hawkvision/secrets/(\S+)", PAGE))
    wanted = handed(service)
    assert set(wanted) <= made
    assert all(path == f"/etc/hawkvision/secrets/{name}" for name, path in wanted.items())
