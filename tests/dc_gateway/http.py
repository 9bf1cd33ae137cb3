"""Raw HTTP to a gateway's REST port."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from dc_gateway.server import Gateway
from tests.edge_agent.agents import Reply, read_reply, request
from tests.oip.calls import INFER, LENGTH, RestCall, packed, tensor


async def exchange(gateway: Gateway, *parts: bytes) -> Reply:
    """Send raw bytes over a connection of their own, and read one reply."""
    reader, writer = await connect(gateway)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await read_reply(reader)
    finally:
        writer.close()


async def connect(gateway: Gateway) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection."""
    return await asyncio.open_connection("127.0.0.1", gateway.http_port)


async def send(gateway: Gateway, call: RestCall) -> Reply:
    """One call of the list."""
    headers = [f"{name}: {value}" for name, value in call.headers.items()]
    return await exchange(gateway, request(call.method, call.path, call.body, *headers))


def asking(*images: bytes, path: str = INFER, **fields: Any) -> bytes:
    """A request for these images, whole."""
    raw = packed(*images)
    text = json.dumps({"inputs": [tensor(len(raw), [len(images)])], **fields}).encode()
    return request("POST", path, text + raw, f"{LENGTH}: {len(text)}")
