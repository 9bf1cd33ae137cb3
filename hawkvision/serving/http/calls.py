"""An HTTP request as a call of the Open Inference Protocol: who, for which model."""

from __future__ import annotations

import math
from typing import NamedTuple

from aiohttp import web

from hawkvision.errors import UnknownTask
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


def call_of(request: web.Request, arrived: float, most_s: float | None = None) -> Call:
    """A request that came then; its answer may take so many seconds, or as long as it likes.

    Raises ConnectionResetError once its client has gone.
    """
    deadline = math.inf if most_s is None else arrived + most_s
    query = request.rel_url.raw_query_string
    return Call(_peer(request), deadline, request.headers, query, arrived)


def _peer(request: web.Request) -> Peer:
    line = request.transport
    if line is None:
        raise ConnectionResetError("the client has gone")
    name = line.get_extra_info("peername")
    if not isinstance(name, tuple) or len(name) < 2:
        return _NOBODY
    host = str(name[0])
    return peer_at(f"http:{host}:{name[1]}", host)
