"""Ray Serve: `python -m loadtest.peers.ray_serve TASK PORT`, two replicas behind HAProxy.

Its settings are variables of the environment, read as it is imported. What it writes goes into the
folder for temporary files.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading

from loadtest.peers.ports import free_ports

REPLICAS = 2
_FOLDER = tempfile.gettempdir()


def _settings() -> dict[str, str]:
    metrics, stats = free_ports(2)
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{_FOLDER}/haproxy.cfg",
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": f"{_FOLDER}/metrics.sock",
        "RAY_SERVE_HAPROXY_NBTHREAD": "2",
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": _FOLDER,
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": f"{_FOLDER}/server-state",
        "RAY_SERVE_HAPROXY_SOCKET_PATH": f"{_FOLDER}/admin.sock",
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats),
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def main() -> None:
    """Serve until SIGTERM."""
    for name, value in _settings().items():
        os.environ.setdefault(name, value)
    import ray
    from ray import serve

    from loadtest.peers.ray_replica import Classify

    ended = threading.Event()
    ray.init(
        num_cpus=REPLICAS + 1,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
        object_store_memory=100 * 2**20,
        _temp_dir=_FOLDER,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[2])})
    replica = serve.deployment(
        num_replicas=REPLICAS, max_ongoing_requests=64, ray_actor_options={"num_cpus": 1}
    )(Classify)
    serve.run(replica.bind(sys.argv[1]), route_prefix="/")
    ended.wait()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
