"""Requests to a gateway, and ways to hold it at a known point."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.codec import pack_bytes
from hawkvision.serving.job import Ticket
from tests.dc_gateway.conftest import Served


def infer_request(
    *images: bytes, model: str = "tiny", version: str = ""
) -> messages.ModelInferRequest:
    request = messages.ModelInferRequest(model_name=model, model_version=version, id="r1")
    request.inputs.add(name="image", datatype="BYTES", shape=[len(images)])
    request.raw_input_contents.append(pack_bytes(list(images)))
    return request


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def busy_thread(served: Served) -> AsyncIterator[None]:
    """Keep the gateway's one thread at work."""
    started, release = threading.Event(), threading.Event()

    def block(_item: None, _ticket: Ticket) -> list[Any]:
        started.set()
        release.wait(60)
        return []

    job = served.gateway.pool.submit(block, None)
    await until(started.is_set)
    try:
        yield
    finally:
        release.set()
        await job
