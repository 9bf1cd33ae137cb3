"""What the loop complains of is logged, but for TLS connections that are closed already."""

from __future__ import annotations

import asyncio
import logging
from asyncio.sslproto import SSLProtocol

import pytest

from hawkvision.serving.event_loop import new_event_loop, tell


class Line(asyncio.Transport):
    def __init__(self, *, closing: bool) -> None:
        super().__init__()
        self._closing = closing

    def is_closing(self) -> bool:
        return self._closing


@pytest.mark.parametrize(
    ("protocol", "closing", "said"),
    [
        (SSLProtocol, True, False),
        (SSLProtocol, False, True),
        (asyncio.Protocol, True, True),
    ],
)
def test_a_closed_tls_connection_is_no_complaint(
    caplog: pytest.LogCaptureFixture, protocol: type, closing: bool, said: bool
) -> None:
    loop = new_event_loop()
    try:
        context = {
            "message": "Fatal error on SSL protocol",
            "exception": RuntimeError("the handler is closed"),
            "transport": Line(closing=closing),
            "protocol": object.__new__(protocol),
        }
        with caplog.at_level(logging.WARNING):
            loop.call_exception_handler(context)
    finally:
        loop.close()
    assert bool(caplog.records) is said


def test_what_has_no_transport_is_said(caplog: pytest.LogCaptureFixture) -> None:
    loop = new_event_loop()
    try:
        tell(loop, {"message": "Task exception was never retrieved"})
    finally:
        loop.close()
    assert "never retrieved" in caplog.text
