"""What aiohttp has to say of its connections, without what is a client's own doing."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

from aiohttp.http_exceptions import HttpProcessingError

_CLIENTS = (HttpProcessingError, ConnectionError)
"""Bytes that are no HTTP, and connections that were closed half-way."""


class ServerLog(logging.LoggerAdapter[logging.Logger]):
    """aiohttp's own logger; a client's faults, answered with 400 or by nobody, are for debugging.

    They come as often as anybody likes, and say nothing of the service.
    """

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """See logging."""
        fault = kwargs.get("exc_info")
        if isinstance(fault, _CLIENTS):
            told = str(fault).strip() or type(fault).__name__
            self.logger.debug(f"{msg}: %s", *args, told[:200])
            return
        super().log(level, msg, *args, **kwargs)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """See logging: nothing is added."""
        return msg, kwargs


SERVER_LOG = ServerLog(logging.getLogger("aiohttp.server"), {})
