"""What tests of lossy streams say to a real agent, and wait for."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import aiohttp

from hawkvision.client.async_client import AsyncClient
from hawkvision.contract.stream import StreamStatus
from hawkvision.lossy.offer import StreamOffer
from hawkvision.lossy.sender import SenderSettings, StreamSender
from hawkvision.lossy.wire.srtp import Outbound, suite_named
from tests.processes import Service

TASK = ("--task", "imagenette")


def url(service: Service) -> str:
    return f"http://{service.address}"


async def opened(client: AsyncClient, **asked: Any) -> StreamOffer:
    return await client.open_stream(asked)


def sender_of(offer: StreamOffer) -> StreamSender:
    suite = suite_named(offer.suite)
    return StreamSender(
        offer.ssrc,
        SenderSettings(offer.mtu, offer.tag_bytes),
        Outbound(suite, offer.key, offer.ssrc) if suite else None,
    )


async def put(offer: StreamOffer, datagrams: list[bytes], from_port: int = 0) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.bind(("127.0.0.1", from_port))
        for datagram in datagrams:
            out.sendto(datagram, (offer.host, offer.port))
        await asyncio.sleep(0.05)


async def until(client: AsyncClient, stream_id: str, answered: int) -> StreamStatus:
    end = time.monotonic() + 5
    while time.monotonic() < end:
        status = await client.stream_status(stream_id)
        if status.frames.answered >= answered:
            return status
        await asyncio.sleep(0.02)
    raise AssertionError(f"not {answered} answered: {status}")


async def told(client: AsyncClient, offer: StreamOffer, code: str) -> None:
    """Wait until the stream's advice has this code."""
    async with asyncio.timeout(20):
        while code not in {one.code for one in (await client.stream_status(offer.id)).advice}:
            await asyncio.sleep(0.05)


async def counted(agent: Service, name: str) -> dict[str, float]:
    """A metric with one label: its value by the label's."""
    async with aiohttp.ClientSession() as session, session.get(f"{url(agent)}/metrics") as reply:
        lines = (await reply.text()).splitlines()
    return {
        line.split('"')[1]: float(line.rsplit(" ", 1)[1])
        for line in lines
        if line.startswith(f"{name}_total{{")
    }
