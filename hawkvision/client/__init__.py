"""Client SDK: `Client` and `AsyncClient` have the same methods."""

from hawkvision.client.answers import Answer, Guess, Promise, TaskInfo
from hawkvision.client.async_client import AsyncClient
from hawkvision.client.sync_client import Client

__all__ = ["Answer", "AsyncClient", "Client", "Guess", "Promise", "TaskInfo"]
