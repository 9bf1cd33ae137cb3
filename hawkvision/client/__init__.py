"""Client SDK: `Client` and `AsyncClient` have the same methods."""

from hawkvision.client.async_client import AsyncClient
from hawkvision.client.sync_client import Client
from hawkvision.contract.answers import Answer, Guess, Promise, TaskInfo

__all__ = ["Answer", "AsyncClient", "Client", "Guess", "Promise", "TaskInfo"]
