"""An agent of this process over the tiny task, and raw HTTP to it; outcomes made to order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dc_gateway.config import GatewayConfig
from dc_gateway.model import load_models
from dc_gateway.server import Gateway
from edge_agent.agent import Agent
from edge_agent.config import EdgeConfig
from edge_agent.loading import load_tasks
from edge_agent.local import LocalAnswer, LocalTask
from edge_agent.outcome import Outcome
from hawkvision.cascade import parse_accuracy
from hawkvision.images import ImageLimits
from hawkvision.repository import Repository
from hawkvision.tasks.classification.prediction import ClassPrediction
from tests.processes import free_port


@asynccontextmanager
async def started(repository: Path, **settings: Any) -> AsyncIterator[Agent]:
    """A listening agent; no gateway answers unless one is named (`gateway`, or `gateways`)."""
    options: dict[str, Any] = {
        "gateways": (settings.pop("gateway", None) or f"127.0.0.1:{free_port()}",),
        "threads": 1,
        "drain_notice_s": 0.0,
    }
    config = EdgeConfig(port=0, model_repository=repository, **(options | settings))
    agent = Agent(config, load_tasks(config))
    try:
        await agent.start()
        yield agent
    finally:
        await agent.close()


@asynccontextmanager
async def gateway_of(repository: Path, **settings: Any) -> AsyncIterator[str]:
    """A gateway of this process; its address."""
    config = GatewayConfig(port=0, model_repository=repository, threads=1, **settings)
    gateway = Gateway(config, load_models(config))
    try:
        await gateway.start()
        yield gateway.address
    finally:
        await gateway.close()


@dataclass
class Reply:
    """An HTTP reply as it came; `closed` where the agent then closed the connection."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error's code; of the Open Inference Protocol's errors the first word."""
        error = self.json["error"]
        return error.split(":")[0] if isinstance(error, str) else str(error["code"])


async def exchange(agent: Agent, *parts: bytes, pause_s: float = 0.0) -> Reply:
    """Send raw bytes over a connection of their own, and read one reply."""
    port = int(agent.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)
        return await read_reply(reader, head=parts[0].startswith(b"HEAD"))
    finally:
        writer.close()


async def read_reply(reader: asyncio.StreamReader, *, head: bool = False) -> Reply:
    """The next reply; a HEAD's has no body."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines[1:] if line)
    }
    length = 0 if head else int(headers.get("content-length", "0"))
    return Reply(int(lines[0].split()[1]), headers, await reader.readexactly(length))


def request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    """A whole HTTP request."""
    head = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def tiny_task(repository: Path) -> LocalTask:
    """The tiny task, loaded."""
    return LocalTask.load(
        Repository(repository).open("tiny"), engine="onnx", limits=ImageLimits(), delta=0.05
    )


def prediction(class_id: int, confidence: float) -> ClassPrediction:
    """A prediction of the tiny task."""
    probabilities = np.full(4, (1 - confidence) / 3, np.float32)
    probabilities[class_id] = confidence
    return ClassPrediction(class_id, confidence, probabilities)


def outcome(
    local: LocalTask,
    edge: ClassPrediction,
    dc: ClassPrediction | None = None,
    *,
    accuracy: str = "0.8",
    app: str = "",
    degraded: str | None = None,
    image: bytes | None = b"image",
    loss_level: float = 0.0,
) -> Outcome:
    """What the classifier would say of such predictions; `dc` came over the link."""
    return Outcome(
        local=local,
        target=local.policy.resolve(parse_accuracy(accuracy)),
        app=app,
        edge=LocalAnswer(edge, 0.1, 0.2),
        dc=dc,
        degraded=degraded,
        image=image,
        loss_level=loss_level,
        top_k=3,
        escalate_ms=0.0,
        total_s=0.001,
        place=int(dc is not None),
        over_link=dc is not None,
    )
