"""`python -m tests.dc_gateway.upstreams`: calls at a steady rate while what computes is killed.

Prints, for worker processes and (where it is installed) Ray: calls, those not answered, the longest
answer, and the time until as many compute as before.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import psutil

from tests.dc_gateway.calls import infer_request
from tests.dc_gateway.upstreams.kinds import HAS_RAY, hosted, stub_of
from tests.dc_gateway.upstreams.ray_cluster import ray_gateway
from tests.models import build_tiny_repository, coloured_jpeg

_CALLERS = 4
_DEADLINE_S = 5.0
_REQUEST = infer_request(coloured_jpeg("red", seed=1, noise=5.0))


@dataclass
class Load:
    """Callers one after the other, until `stop`."""

    address: str
    took: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    stop: bool = False

    def call(self) -> None:
        with stub_of(self.address) as stub:
            while not self.stop:
                begun = time.monotonic()
                try:
                    stub.ModelInfer(_REQUEST, timeout=_DEADLINE_S)
                except grpc.RpcError as error:
                    self.failed.append(f"{error.code().name}: {error.details()}")
                self.took.append(time.monotonic() - begun)


def trial(kind: str, address: str, kill: Callable[[], Callable[[], bool]]) -> None:
    """Load for three seconds, `kill`, and load until it says that all is as before."""
    load = Load(address)
    threads = [threading.Thread(target=load.call) for _ in range(_CALLERS)]
    for thread in threads:
        thread.start()
    time.sleep(3)
    whole = kill()
    begun = time.monotonic()
    while not whole() and time.monotonic() - begun < 60:
        time.sleep(0.01)
    recovered_s = time.monotonic() - begun
    time.sleep(3)
    load.stop = True
    for thread in threads:
        thread.join()
    print(
        f"{kind:16} {len(load.took):6} calls, {len(load.failed)} not answered, "
        f"longest {max(load.took):.2f} s, whole again after {recovered_s:.2f} s"
    )
    for text in sorted(set(load.failed)):
        print(f"  {text[:150]}")


def kill_worker(gateway: Any) -> Callable[[], bool]:
    pool = next(iter(gateway.models.values())).upstream.quick
    os.kill(pool.pids[0], signal.SIGKILL)
    return lambda: pool.ends.total() > 0 and pool.ready == pool.count


def kill_replica(deployment: str) -> Callable[[], bool]:
    from ray import serve

    def replicas() -> set[int]:
        found = psutil.process_iter(["cmdline"])
        name = f"ServeReplica:default:{deployment}"
        return {one.pid for one in found if name in " ".join(one.info["cmdline"] or ())}

    before = replicas()
    victim = min(before)
    os.kill(victim, signal.SIGKILL)

    def whole() -> bool:
        states = serve.status().applications["default"].deployments[deployment].replica_states
        now = replicas()
        return victim not in now and len(now) == len(before) == states.get("RUNNING", 0)

    return whole


def main() -> None:
    """Both trials."""
    with tempfile.TemporaryDirectory() as folder:
        repository = build_tiny_repository(Path(folder))
        with hosted(repository, processes=2) as gateway:
            trial("processes", gateway.address, lambda: kill_worker(gateway.gateway))
        if not HAS_RAY:
            print("ray              not installed: NOT TRIED")
            return
        for spare in (1, 0):
            count = 1 + spare
            settings = {"min_replicas": count, "max_replicas": count, "ingresses": count}
            with ray_gateway(repository, **settings) as address:
                for deployment in ("tiny-dc", "gateway"):
                    name = f"ray {deployment}, {count}"
                    trial(name, address, partial(kill_replica, deployment))


if __name__ == "__main__":
    main()
