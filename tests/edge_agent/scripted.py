"""Gateways that do as they are told, and calls to them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc.aio
import numpy as np

from edge_agent.upstream import Call, GrpcUpstream
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.inference import build_reply
from hawkvision.oip.open_inference_pb2_grpc import (
    GRPCInferenceServiceServicer,
    add_GRPCInferenceServiceServicer_to_server,
)
from hawkvision.oip.protobuf import parse_request, write_reply
from hawkvision.repository import Task
from hawkvision.tasks import Outputs

Script = Callable[[messages.ModelInferRequest, Any], Any]
GOOD = {"probabilities": np.array([[0.1, 0.7, 0.1, 0.1]], np.float32)}


class Scripted(GRPCInferenceServiceServicer):
    """A gateway that does as it is told."""

    def __init__(self) -> None:
        self.script: Script = answer
        self.calls = 0
        self.address = ""

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.calls += 1
        return await self.script(request, context)


def reply_to(request: messages.ModelInferRequest, outputs: Outputs, flavour: str = "") -> Any:
    """A reply of version 1."""
    found = build_reply(request.model_name, "1", request.id, outputs, flavour=flavour)
    return write_reply(found, parse_request(request).outputs)


async def answer(request: messages.ModelInferRequest, _context: Any) -> Any:
    """As it should."""
    return reply_to(request, GOOD)


async def garbage(request: messages.ModelInferRequest, _context: Any) -> Any:
    """With what is no answer."""
    return reply_to(request, {"other": np.zeros((1, 1), np.float32)})


async def never(_request: Any, _context: Any) -> Any:
    """As one that hangs."""
    await asyncio.sleep(60)


def refuse(code: grpc.StatusCode, retry_after: str | None = None) -> Script:
    """With a status."""

    async def script(_request: Any, context: Any) -> Any:
        trailing = () if retry_after is None else (("retry-after", retry_after),)
        await context.abort(code, "as scripted", trailing)

    return script


def after(seconds: float) -> Script:
    """As it should, later."""

    async def script(request: messages.ModelInferRequest, context: Any) -> Any:
        await asyncio.sleep(seconds)
        return await answer(request, context)

    return script


@asynccontextmanager
async def listening(count: int = 1) -> AsyncIterator[list[Scripted]]:
    """Gateways on ports of their own."""
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(count):
            server, servicer = grpc.aio.server(), Scripted()
            add_GRPCInferenceServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
            servicer.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
            await server.start()
            stack.push_async_callback(server.stop, None)
            found.append(servicer)
        yield found


def call(task: Task, seconds: float = 30.0, image: bytes = b"image", **more: Any) -> Call:
    """One that is due in so many seconds."""
    return Call(task, image, time.monotonic() + seconds, "r", **more)


async def ask(upstream: GrpcUpstream, task: Task, times: int, seconds: float = 30.0) -> list[Any]:
    """One after the other."""
    return [await upstream.ask(call(task, seconds)) for _ in range(times)]
