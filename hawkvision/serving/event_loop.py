"""The event loop of both services: uvloop where it is installed."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

_log = logging.getLogger(__name__)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A fresh loop; whoever makes it closes it."""
    try:
        import uvloop
    except ImportError:
        loop: asyncio.AbstractEventLoop = asyncio.new_event_loop()
    else:
        loop = uvloop.new_event_loop()
    loop.set_exception_handler(tell)
    return loop


def tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What a loop's own parts failed on goes to the log, but for a client's doing.

    A TLS client may send bytes at the moment at which its connection is closed. uvloop reads them,
    cannot answer, and calls that fatal; it is for debugging, and comes as often as anybody likes.
    """
    transport = context.get("transport")
    under_tls = type(context.get("protocol")).__name__ == "SSLProtocol"
    if under_tls and transport is not None and transport.is_closing():
        _log.debug("a TLS connection was closed while it was read: %s", context.get("exception"))
        return
    loop.default_exception_handler(context)
