"""Commands to the server that holds a key, over connections that are given up with what they hold.

A connection that stays open proves nothing: its server may be a replica by now, or cut off from
the rest. So whenever a server fails, or says that it is not the one any more, its connections are
dropped and the way is asked for again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine, Sequence
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from hawkvision.errors import StoreUnavailable
from hawkvision.tracking.store.redis.address import Node, RedisAddress
from hawkvision.tracking.store.redis.calls import Calls
from hawkvision.tracking.store.redis.rights import HINT, refusal
from hawkvision.tracking.store.redis.routes import Cluster, OneServer, Route, WatchedServer
from hawkvision.tracking.store.redis.scripts import Script

Command = Sequence[Any]
Client = Any
"""A client of redis-py, whose methods are typed in part."""

Out = TypeVar("Out")

_NOT_THE_ONE = (
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,
    MasterDownError,
    ReadOnlyError,
    OSError,
    TimeoutError,
)
"""What a server says, or how it fails, that is not the one to ask any more."""

_CODES: dict[str, type[RedisError]] = {
    "ASK": AskError,
    "CLUSTERDOWN": ClusterDownError,
    "MASTERDOWN": MasterDownError,
    "MOVED": MovedError,
    "TRYAGAIN": TryAgainError,
}
_EVALSHA = "'evalsha'"
"""In what a server says whose user may not name scripts by their digests."""

_AT_ONCE = 64
_HOPS = 4
_QUIET_S = 5.0
_LISTEN_S = 1.0
_CLOSE_S = 1.0


class Servers:
    """No command takes longer than `timeout_s`, finding its server included."""

    def __init__(self, address: RedisAddress, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._calls = Calls()
        self._clients: dict[Node, Client] = {}
        self._dropped: set[Client] = set()
        self._ailing: set[Node] = set()
        self._failures: Counter[Node] = Counter()
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._whole = False
        self._route = self._route_to(address)

    def _route_to(self, address: RedisAddress) -> Route:
        if address.kind == "sentinel":
            return WatchedServer(address, self._ask_sentinel)
        if address.kind == "cluster":
            return Cluster(address, self._ask_node)
        return OneServer(address.nodes[0] if address.nodes else Node(address.path or "", 0))

    def renew(self, address: RedisAddress) -> None:
        """Connect anew, as other files say; the same servers. Calls under way end as they began."""
        self._address = address
        self._whole = False
        clients = list(self._clients.values())
        self._clients.clear()
        for client in clients:
            self._drop(client)

    async def ask(self, key: str, *commands: Command) -> list[Any]:
        """The answers of the server that holds `key` to commands sent together.

        All keys of the commands must lie in the slot of `key`. Raises StoreUnavailable.
        """
        where: list[Node] = []
        try:
            return await self._calls.run(self._ask(key, commands, where), self._timeout_s)
        except (RedisError, OSError, TimeoutError) as error:
            if isinstance(error, _NOT_THE_ONE):
                self._failed(where[-1] if where else None)
            raise self._unavailable(error) from None

    async def _ask(self, key: str, commands: Sequence[Command], where: list[Node]) -> list[Any]:
        async with self._room:
            for _ in range(_HOPS):
                node = await self._route.find(key, self._timeout_s / 2)
                where.append(node)
                try:
                    answers = await self._send(node, commands)
                except MovedError as error:
                    if not self._route.moved(key, Node(error.host or node.host, error.port)):
                        raise StoreUnavailable(
                            "the store is a cluster", hint="Name it as redis+cluster://HOST:PORT."
                        ) from None
                except AskError as error:  # the base of MovedError
                    there = Node(error.host or node.host, error.port)
                    asking = [part for one in commands for part in (("ASKING",), one)]
                    return (await self._send(there, asking))[1::2]
                except TryAgainError:
                    await asyncio.sleep(0.05)
                else:
                    self._ailing.discard(node)
                    return answers
        raise TimeoutError("the cluster's nodes send us round and round")

    async def _send(self, node: Node, commands: Sequence[Command]) -> list[Any]:
        """A script goes by its digest, and whole where that did nothing."""
        if self._whole or not any(isinstance(part, Script) for one in commands for part in one):
            return await self._exchange(node, commands)
        try:
            return await self._exchange(node, [_by_digest(one) for one in commands])
        except NoScriptError:
            return await self._exchange(node, commands)
        except NoPermissionError as error:
            if _EVALSHA not in str(error):
                raise
            self._whole = True
            return await self._exchange(node, commands)

    async def _exchange(self, node: Node, commands: Sequence[Command]) -> list[Any]:
        pipeline = self._client(node).pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        # redis-py would raise with the whole command in the message, the fleet's secret too.
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception):
                raise _known(answer)
        return answers

    async def listen(self, channel: str) -> AsyncGenerator[str, None]:
        """What is published, heard on a connection of its own. Raises StoreUnavailable.

        It ends when the server is silent even to PING, and when a command to it has failed.
        """
        try:
            node = await self._within(self._route.anywhere(self._ailing, self._timeout_s / 2))
        except (RedisError, OSError, TimeoutError) as error:
            raise self._unavailable(error) from None
        before = self._failures[node]
        client = self._open(node, self._address.options())
        pubsub = client.pubsub()
        loop = asyncio.get_running_loop()
        heard = loop.time()
        try:
            await self._within(pubsub.subscribe(channel))
            while self._failures[node] == before:
                message = await self._calls.run(
                    pubsub.get_message(timeout=_LISTEN_S), _LISTEN_S + self._timeout_s
                )
                quiet_s = loop.time() - heard
                if message is not None:
                    heard = loop.time()
                    if message["type"] == "message":
                        yield message["data"].decode()
                elif quiet_s > 2 * _QUIET_S:
                    raise TimeoutError("it is silent")
                elif quiet_s > _QUIET_S:
                    await self._within(pubsub.ping())
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(node)
            raise self._unavailable(error) from None
        finally:
            self._drop(client, pubsub)
        raise self._unavailable(ConnectionError("commands to the same server have failed"))

    async def _within(self, call: Coroutine[Any, Any, Out]) -> Out:
        return await self._calls.run(call, self._timeout_s)

    async def _ask_node(self, node: Node, *command: Any) -> Any:
        call = self._client(node).execute_command(*command)
        return await self._calls.run(call, self._timeout_s / 2)

    async def _ask_sentinel(self, node: Node, *command: Any) -> Any:
        client = self._open(node, self._address.sentinel_options())
        try:
            return await self._calls.run(client.execute_command(*command), self._timeout_s / 2)
        finally:
            self._drop(client)

    def _client(self, node: Node) -> Client:
        if node not in self._clients:
            self._clients[node] = self._open(node, self._address.options())
        return self._clients[node]

    def _open(self, node: Node, options: dict[str, Any]) -> Client:
        return Redis(
            host=node.host,
            port=node.port,
            socket_timeout=self._timeout_s,
            socket_connect_timeout=self._timeout_s,
            retry=Retry(NoBackoff(), 0),
            **options,
        )

    def _failed(self, node: Node | None) -> None:
        self._route.failed()
        if node is None:
            return
        self._failures[node] += 1
        self._ailing.add(node)
        client = self._clients.pop(node, None)
        if client is not None:
            self._drop(client)

    def _drop(self, client: Client, pubsub: Any = None) -> None:
        self._dropped.add(client)
        self._calls.start(self._close_later(client, pubsub))

    async def _close_later(self, client: Client, pubsub: Any) -> None:
        """Other calls may still use the connections; they end within their own time."""
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            if pubsub is not None:
                await pubsub.aclose()
            await asyncio.sleep(self._timeout_s)
            await client.aclose()
        self._dropped.discard(client)

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        said = self._address.without_secrets(str(error))[:200]
        if refused := refusal(error, said):
            return StoreUnavailable(refused, hint=HINT)
        return StoreUnavailable(
            f"the store does not answer: {type(error).__name__}: {said}",
            hint="Counts are kept here and delivered when it is back.",
        )

    async def close(self) -> None:
        """Close all connections, in a bounded time."""
        await self._calls.close(_CLOSE_S)  # what ends there may drop a client
        clients = [*self._clients.values(), *self._dropped]
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            await self._calls.run(_close_all(clients), _CLOSE_S)
        await self._calls.close(_CLOSE_S)


def _by_digest(command: Command) -> Command:
    if command[0] == "EVAL" and isinstance(command[1], Script):
        return ("EVALSHA", command[1].digest, *command[2:])
    return command


def _known(error: Exception) -> Exception:
    """By the first word, the error's code: redis-py 5 knows some in its cluster client only."""
    code, _, rest = str(error).partition(" ")
    return _CODES[code](rest) if type(error) is ResponseError and code in _CODES else error


async def _close_all(clients: Sequence[Client]) -> None:
    await asyncio.gather(*(client.aclose() for client in clients), return_exceptions=True)
