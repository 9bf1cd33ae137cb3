"""The references name all that there is, and every command of the documents runs as written."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import hawkvision.contract
from edge_agent.agent import Agent
from edge_agent.config import EdgeConfig
from edge_agent.loading import load_tasks
from hawkvision import errors
from hawkvision.client import AsyncClient, Client
from hawkvision.client.lossy import LossyStream, Sending, StreamAnswer
from hawkvision.lossy.offer import StreamOffer, StreamRequest
from tests.models import build_tiny_repository

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
