"""The compose file: what it names exists, and the services know every line of their files."""

from __future__ import annotations

import tomllib

import pytest
import yaml

from dc_gateway.command import command as gateway_command
from edge_agent.command import command as edge_command
from hawkvision.serving.config_file import _options
from tests.deploy.tools import DEPLOY

FOLDER = DEPLOY / "compose"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())


def test_files_that_are_mounted_exist_and_secrets_are_declared() -> None:
    for name, service in COMPOSE["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith(".") and "/secrets/" not in source:
                assert (FOLDER / source).exists(), f"{name}: {source}"
            elif not source.startswith("."):
                assert source in COMPOSE["volumes"], f"{name}: {source}"
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])


def test_every_container_is_confined() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


@pytest.mark.parametrize(
    ("file", "command"), [("edge.toml", edge_command), ("gateway.toml", gateway_command)]
)
def test_the_services_know_every_line_of_their_files(file: str, command: object) -> None:
    lines = tomllib.loads((FOLDER / file).read_text())
    known = _options(command)  # type: ignore[arg-type]
    assert set(lines) <= set(known)
    secrets = {
        value.removeprefix("/run/secrets/")
        for value in lines.values()
        if isinstance(value, str) and value.startswith("/run/secrets/")
    }
    assert secrets <= set(COMPOSE["secrets"])
