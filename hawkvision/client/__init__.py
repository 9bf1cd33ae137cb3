"""Client SDK: `Client` and `AsyncClient` have the same methods."""

from hawkvision.client.async_client import AsyncClient
from hawkvision.client.sync_client import Client
from hawkvision.contract.agents import AgentStatus
from hawkvision.contract.answer import Answer, Guess, Promise
from hawkvision.contract.apps import AppInfo
from hawkvision.contract.delivered import Report
from hawkvision.contract.power import PowerStatus
from hawkvision.contract.stream import Advice, FrameResult, StreamEnd, StreamStatus
from hawkvision.contract.task import TaskInfo

__all__ = [
    "Advice",
    "AgentStatus",
    "Answer",
    "AppInfo",
    "AsyncClient",
    "Client",
    "FrameResult",
    "Guess",
    "PowerStatus",
    "Promise",
    "Report",
    "StreamEnd",
    "StreamStatus",
    "TaskInfo",
]
