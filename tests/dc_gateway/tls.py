"""Gateways under TLS: certificates, channels, and what a gateway shows."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from hawkvision.oip.open_inference_pb2_grpc import GRPCInferenceServiceStub
from tests.certificates import Authority, Signed
from tests.dc_gateway.calls import infer_request
from tests.dc_gateway.conftest import Served
from tests.models import coloured_jpeg

Code = grpc.StatusCode
OWN = (("grpc.use_local_subchannel_pool", 1),)
IMAGE = coloured_jpeg("red")


def mutual(ours: Authority, **more: Any) -> dict[str, Any]:
    files = {"tls_cert": ours.certificate, "tls_key": ours.key, "tls_client_ca": ours.ca}
    return files | more


@asynccontextmanager
async def channel_to(
    served: Served, ca: Path, shows: Signed | None = None
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel with connections of its own."""
    pair = (None, None) if shows is None else (shows.key, shows.certificate)
    read = [None if one is None else one.read_bytes() for one in (ca, *pair)]
    credentials = grpc.ssl_channel_credentials(*read)
    async with grpc.aio.secure_channel(served.address, credentials, options=OWN) as channel:
        yield channel


async def ask(channel: grpc.aio.Channel, timeout_s: float = 60.0) -> Code:
    """How one call ends."""
    stub = GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]
    try:
        await stub.ModelInfer(infer_request(IMAGE), timeout=timeout_s)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return Code.OK


async def asked(served: Served, ca: Path, shows: Signed | None = None) -> Code:
    """How one call over a new connection ends."""
    async with channel_to(served, ca, shows) as channel:
        return await ask(channel)


async def shown(served: Served, ca: Path, shows: Signed, port: int | None = None) -> bytes:
    """The certificate that a new connection is shown (DER)."""
    context = ssl.create_default_context(cafile=str(ca))
    context.load_cert_chain(shows.certificate, shows.key)
    context.set_alpn_protocols(["h2"])

    def look() -> bytes:
        where = ("127.0.0.1", port or int(served.address.rpartition(":")[2]))
        with (
            socket.create_connection(where, 60) as link,
            context.wrap_socket(link, server_hostname="localhost") as secure,
        ):
            return secure.getpeercert(binary_form=True) or b""

    return await asyncio.to_thread(look)


def der(one: Signed) -> bytes:
    return ssl.PEM_cert_to_DER_cert(one.certificate.read_text("ascii"))


async def eventually(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.01)


async def metrics(port: int | None, ca: Path, shows: Signed | None = None) -> bytes:
    """What `GET /metrics` gives under TLS; nothing where it is refused."""
    context = ssl.create_default_context(cafile=str(ca))
    if shows is not None:
        context.load_cert_chain(shows.certificate, shows.key)
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost"
        )
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        found = await reader.read()
        writer.close()
    except OSError:
        return b""
    return found
