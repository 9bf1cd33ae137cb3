"""An HTTP request as a call of the Open Inference Protocol: who, for which model."""

from __future__ import annotations

import asyncio
import math
from typing import NamedTuple

from aiohttp import web

from hawkvision.errors import UnknownTask
from hawkvision.serving.clients import Clients
from hawkvision.serving.grpc.entrance import Call
from hawkvision.serving.peers import Peer, peer_at

_NOBODY = Peer("", "")
"""Whoever comes over a socket without an address."""


class Named(NamedTuple):
    """The model that a path names, and the version, empty where any is meant."""

    name: str
    version: str


def model_named(request: web.Request) -> Named:
    """By the path. Raises UnknownTask for what can be no name."""
    name, version = request.match_info["task"], request.match_info.get("version", "")
    try:
        (name + version).encode()
    except UnicodeEncodeError as error:
        raise UnknownTask(f"{name[:80]!r} is no name of a model") from error
    return Named(name, version)


class Callers:
    """Who sends requests: by address, or by certificate where `clients` says so."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def call(self, request: web.Request, arrived: float, most_s: float | None = None) -> Call:
        """A request that came then; its answer may take so many seconds, or as long as it likes.

        Raises as `peer`.
        """
        deadline = math.inf if most_s is None else arrived + most_s
        query = request.rel_url.raw_query_string
        return Call(self.peer(request), deadline, request.headers, query, arrived)

    def peer(self, request: web.BaseRequest) -> Peer:
        """Who it is. Raises Forbidden, and ConnectionResetError once the client has gone."""
        line = request.transport
        if line is None:
            raise ConnectionResetError("the client has gone")
        found, clients = _by_address(line), self._clients
        return clients.named(found, _shown_names(line)) if clients.certified else found


ANYBODY = Callers(Clients())
"""Of a port that asks for no certificates."""


def _by_address(line: asyncio.Transport) -> Peer:
    name = line.get_extra_info("peername")
    if not isinstance(name, tuple) or len(name) < 2:
        return _NOBODY
    host = str(name[0])
    return peer_at(f"http:{host}:{name[1]}", host)


def _shown_names(line: asyncio.Transport) -> list[str]:
    """The names in the client's certificate; its common name counts where there is no other."""
    shown = line.get_extra_info("peercert") or {}
    names = [str(value) for _, value in shown.get("subjectAltName", ())]
    return names or [
        str(value)
        for part in shown.get("subject", ())
        for kind, value in part
        if kind == "commonName"
    ]
