"""Two real Redis servers, one the other's replica, and a Sentinel that watches them."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.processes import free_port
from tests.redis_server import PATIENCE_S, RedisServer

SERVICE = "hawk"


class Watched:
    """A primary and a replica under one Sentinel, which decides alone.

    `options` and `access` are those of the servers, `guard` more lines for the Sentinel.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        access: Mapping[str, Any] | None = None,
        guard: tuple[str, ...] = (),
        guard_access: Mapping[str, Any] | None = None,
    ) -> None:
        program = shutil.which("redis-sentinel") or shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-sentinel is not installed")
        self.servers: list[RedisServer] = []
        self._sentinel: subprocess.Popen[bytes] | None = None
        self._guard_access = dict(guard_access or {})
        try:
            self.servers += [
                RedisServer(folder / name, *options, access=access) for name in ("a", "b")
            ]
            replicate(*self.servers)
            self.port = free_port()
            secure = bool(self._guard_access.get("ssl"))
            config = folder / "sentinel.conf"
            config.write_text(
                "\n".join(
                    [
                        f"port 0\ntls-port {self.port}" if secure else f"port {self.port}",
                        f"dir {folder}",
                        f"sentinel monitor {SERVICE} 127.0.0.1 {self.servers[0].port} 1",
                        f"sentinel down-after-milliseconds {SERVICE} 1000",
                        f"sentinel failover-timeout {SERVICE} 5000",
                        *guard,
                    ]
                )
            )
            words = [program, str(config), "--sentinel"]
            self._sentinel = subprocess.Popen(words, stdout=subprocess.DEVNULL)
            self._wait()
        except BaseException:
            self.kill()
            raise
        self.url = f"redis+sentinel://127.0.0.1:{self.port}/{SERVICE}"

    def _wait(self) -> None:
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                with self.client() as client:
                    if len(client.execute_command("SENTINEL", "REPLICAS", SERVICE)) == 1:
                        return
            except redis.RedisError:
                pass
            assert time.monotonic() < end, "the Sentinel sees no replica"
            time.sleep(0.05)

    def client(self) -> redis.Redis:
        """A plain client of the Sentinel."""
        return redis.Redis(host="127.0.0.1", port=self.port, **self._guard_access)

    def primary(self) -> RedisServer:
        """The one that the Sentinel names."""
        with self.client() as client:
            answer = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return next(server for server in self.servers if server.port == int(answer[1]))

    def wait_for_replica(self) -> None:
        """Until the replica has all that the primary has."""
        first = self.primary()
        wait_for_replica(first, next(server for server in self.servers if server is not first))

    def swap(self) -> None:
        """Change the roles by hand; connections to both stay open. The Sentinel is told."""
        former = self.primary()
        new = next(server for server in self.servers if server is not former)
        with self.client() as client:
            client.execute_command("SENTINEL", "REMOVE", SERVICE)
            swap_roles(former, new)
            client.execute_command("SENTINEL", "MONITOR", SERVICE, "127.0.0.1", new.port, 1)

    def kill(self) -> None:
        """Take all away."""
        if self._sentinel is not None:
            self._sentinel.kill()
            self._sentinel.wait(10)
        for server in self.servers:
            server.kill()


def replicate(primary: RedisServer, replica: RedisServer) -> None:
    """Make one server the other's replica, and wait until it holds the same."""
    with replica.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", primary.port)
        end = time.monotonic() + PATIENCE_S
        while client.info("replication").get("master_link_status") != "up":
            assert time.monotonic() < end
            time.sleep(0.05)


def swap_roles(former: RedisServer, new: RedisServer) -> None:
    """A replica becomes the primary and the other way round; no connection is closed."""
    wait_for_replica(former, new)
    with new.client() as other:
        other.execute_command("REPLICAOF", "NO", "ONE")
    replicate(new, former)


def wait_for_replica(primary: RedisServer, replica: RedisServer) -> None:
    """Until it has all that the primary has; what it lacks when that goes is lost."""
    with primary.client() as one, replica.client() as other:
        end = time.monotonic() + PATIENCE_S
        while _offset(one) != _offset(other):
            assert time.monotonic() < end
            time.sleep(0.05)


def _offset(client: redis.Redis) -> int:
    found: Any = client.info("replication")
    return int(found.get("slave_repl_offset", found["master_repl_offset"]))
