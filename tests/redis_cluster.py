"""A real Redis cluster of three nodes without replicas."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.processes import free_port
from tests.redis_server import PATIENCE_S, RedisServer

SLOTS = 16384


class RedisCluster:
    """Each node holds a third of the slots; what it holds is gone with it, the rest goes on.

    `options` and `access` are those of each server.
    """

    def __init__(
        self, folder: Path, *options: str, access: Mapping[str, Any] | None = None, size: int = 3
    ) -> None:
        words = [*options, "--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"]
        words += ["--cluster-node-timeout", "1500", "--cluster-announce-ip", "127.0.0.1"]
        self.buses = [free_port() for _ in range(size)]
        self.nodes: list[RedisServer] = []
        try:
            for index, bus in enumerate(self.buses):
                own = ("--cluster-port", str(bus))
                self.nodes.append(RedisServer(folder / str(index), *words, *own, access=access))
            self._join(size)
        except BaseException:
            self.kill()
            raise
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def _join(self, size: int) -> None:
        first = self.nodes[0]
        for index, (node, bus) in enumerate(zip(self.nodes, self.buses, strict=True)):
            with node.client() as client:
                begin, end = index * SLOTS // size, (index + 1) * SLOTS // size - 1
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", begin, end)
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
            with first.client() as client:
                if node is not first:
                    client.execute_command("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        self._wait(size)

    def _wait(self, size: int) -> None:
        end = time.monotonic() + PATIENCE_S
        for node in self.nodes:
            with node.client() as client:
                while True:
                    rows = client.execute_command("CLUSTER", "SLOTS")
                    info = client.execute_command("CLUSTER", "INFO")
                    if len(rows) == size and b"cluster_state:ok" in info:
                        break
                    assert time.monotonic() < end, (rows, info)
                    time.sleep(0.05)

    def holder(self, key: str) -> RedisServer:
        """The node that holds a key."""
        with self.nodes[0].client() as client:
            slot = client.execute_command("CLUSTER", "KEYSLOT", key)
        return next(
            node
            for index, node in enumerate(self.nodes)
            if slot < (index + 1) * SLOTS // len(self.nodes)
        )

    def kill(self) -> None:
        """Take all nodes away."""
        for node in self.nodes:
            node.kill()
