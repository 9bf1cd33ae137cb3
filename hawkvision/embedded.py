"""Both services inside a Python program: in this process, in a thread of their own.

The services are found through the entry-point group `hawkvision.services`; this imports neither.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import fields
from importlib.metadata import entry_points
from types import TracebackType
from typing import Any, Self, TypeVar

from hawkvision.client import AsyncClient, Client
from hawkvision.errors import HawkVisionError
from hawkvision.serving.event_loop import new_event_loop
from hawkvision.serving.service import Service, ServiceKind, close_loop

GROUP = "hawkvision.services"
_OF_THE_EDGE = ("host", "port", "tls_cert", "tls_key")
"""Settings of both services that mean the edge agent alone; the gateway stays on loopback, in the
clear."""

Out = TypeVar("Out")


def serve(
    *, tasks: Sequence[str] = (), gateway: str | None = None, **options: Any
) -> EmbeddedServices:
    """An edge agent and a gateway of this process, for `with` or `async with`.

    `tasks` are those to serve (none: all), the first one is the default. With `gateway`, a
    HOST:PORT or several with commas between, that is asked instead of one of our own. `options`
    are fields of `EdgeConfig` and `GatewayConfig`; a field that both have is for both, `host` and
    `port` are for the edge. Ports are free ones unless `port` says otherwise. Raises
    HawkVisionError where the services are not installed, TypeError for an unknown option.
    """
    return EmbeddedServices(tuple(tasks), gateway, options)


class EmbeddedServices:
    """Runs from `start` to `close`; `url` and `gateway` are the addresses of both sides then.

    One that is never closed ends with the program, at once.
    """

    def __init__(
        self, tasks: tuple[str, ...], gateway: str | None, options: Mapping[str, Any]
    ) -> None:
        self.url = ""
        self.gateway = gateway or ""
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what fails is said once, by us
        self._edge = find_kind("edge")
        self._dc = find_kind("dc") if gateway is None else None
        self._options = {"tasks": tasks, **options}
        known = _names(self._edge) | (_names(self._dc) if self._dc is not None else set())
        known -= {"gateways"}
        unknown = sorted(set(self._options) - known)
        if unknown:
            raise TypeError(
                f"serve() has no option {unknown[0]!r}; it has {', '.join(sorted(known))}"
            )
        self._clients: list[Client] = []
        self._running: list[Service] = []
        self._loop: LoopThread | None = None

    def start(self) -> Self:
        """Load the models and listen. Raises HawkVisionError, and has stopped all then."""
        try:
            if self._dc is not None:
                settings = _settings(self._dc, self._options, _OF_THE_EDGE)
                self.gateway = self._begin(self._dc, settings)
            settings = _settings(self._edge, {**self._options, "gateways": (self.gateway,)}, ())
            self.url = self._begin(self._edge, settings)
        except BaseException:
            self.close()
            raise
        return self

    def _begin(self, kind: ServiceKind[Any, Any], settings: Any) -> str:
        """Load and start one service; its address."""
        loaded = kind.load(settings)

        async def begin() -> str:
            service = kind.compose(settings, loaded)
            self._running.append(service)
            await service.start()
            return service.address

        if self._loop is None:
            self._loop = LoopThread()
        return self._loop.call(begin())

    def client(self, **options: Any) -> Client:
        """A client of this agent; it is closed together with the services."""
        client = Client(self.url, **options)
        self._clients.append(client)
        return client

    def async_client(self, **options: Any) -> AsyncClient:
        """A client of this agent, for `async with`."""
        return AsyncClient(self.url, **options)

    def close(self) -> None:
        """Stop both; what is being answered is finished first. Does nothing the second time."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        loop, self._loop = self._loop, None
        if loop is None:
            return
        try:
            while self._running:  # the edge first, so that what it escalates is answered
                loop.call(self._running.pop().close())
        finally:
            self._running.clear()
            loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.close)


class LoopThread:
    """An event loop that runs in a daemon thread of its own until `close`."""

    def __init__(self) -> None:
        self._loop = new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="hawkvision", daemon=True
        )
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, Out]) -> Out:
        """Run a coroutine in the loop and wait for what it returns or raises."""
        future: Future[Out] = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Stop and close the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        close_loop(self._loop)


def find_kind(name: str) -> ServiceKind[Any, Any]:
    """The service of that name. Raises HawkVisionError where none is installed."""
    for entry in entry_points(group=GROUP, name=name):
        kind: ServiceKind[Any, Any] = entry.load()
        return kind
    raise HawkVisionError(
        f"no service {name!r} is registered in the entry-point group {GROUP}",
        hint="Install HawkVision again (in a checkout: pip install -e .), so that its entry "
        "points are known.",
    )


def _names(kind: ServiceKind[Any, Any]) -> set[str]:
    return {field.name for field in fields(kind.settings)}


def _settings(
    kind: ServiceKind[Any, Any], options: Mapping[str, Any], without: Sequence[str]
) -> Any:
    """The kind's settings from the options that it knows; the port is a free one by default."""
    known = _names(kind) - set(without)
    given = {name: value for name, value in options.items() if name in known}
    return kind.settings(**{"port": 0, **given})
