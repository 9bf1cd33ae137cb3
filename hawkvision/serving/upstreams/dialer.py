"""How upstreams are reached: in the clear, or under TLS with files that may be renewed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import grpc.aio

from hawkvision.serving.address import first_of
from hawkvision.serving.tls.fault import OurSide, fault_of_handshake
from hawkvision.serving.tls.watched import WatchedPems

_OLD_CALLS_S = 3600.0
"""So long calls may go on over a channel that another one took over from: no call is longer."""


class Dialer:
    """Opens channels; without `tls` in the clear. `name` is that of the upstreams' certificates,
    where it is not the host that they are reached at.
    """

    def __init__(self, tls: WatchedPems | None = None, name: str | None = None) -> None:
        self._tls = tls
        self._name = name
        self._asking: set[asyncio.Task[None]] = set()

    def open(self, address: str, options: Sequence[tuple[str, Any]]) -> grpc.aio.Channel:
        """A channel with the files as they were last right."""
        # Its connections are its own: a channel with other files must not take over old ones.
        options = (*options, ("grpc.use_local_subchannel_pool", 1))
        if self._tls is None:
            return grpc.aio.insecure_channel(address, options=options)
        pems = self._tls.pems
        if self._name is not None:
            options = (*options, ("grpc.ssl_target_name_override", self._name))
        credentials = grpc.ssl_channel_credentials(pems.ca, pems.key, pems.cert)
        return grpc.aio.secure_channel(address, credentials, options=options)

    def when_renewed(self, tell: Callable[[], None]) -> None:
        """`tell` is called, on the event loop, when channels should be opened anew."""
        if self._tls is not None:
            self._tls.changed.append(tell)

    def explain(self, address: str, tell: Callable[[str], None]) -> None:
        """Find out, beside, whether TLS is why an upstream is gone; `tell` is told how, if so."""

        async def ask() -> None:
            if found := await self._fault(address):
                tell(f"TLS: {found}")

        task = asyncio.create_task(ask())
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    def close(self) -> None:
        """Find out no more."""
        for task in self._asking:
            task.cancel()

    async def _fault(self, address: str) -> str:
        """Why TLS with this upstream does not come about; nothing where that is not the reason."""
        found = first_of(address)
        if found is None:
            return ""
        ours: OurSide | None = None
        if self._tls is not None:
            if own := self._tls.validity.fault_at(time.time()):
                return f"our {self._tls.files.cert}: {own}"
            shows = self._tls.pems.cert is not None
            ours = OurSide(self._tls.context, shows, self._name)
        return await asyncio.to_thread(fault_of_handshake, *found, ours)


async def retire(channel: grpc.aio.Channel) -> None:
    """Close a channel once the calls over it have ended."""
    await channel.close(_OLD_CALLS_S)
