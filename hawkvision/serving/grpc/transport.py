"""What HTTP/2 and gRPC core hold back before any of our code runs: the server's channel arguments.

Their names: https://grpc.github.io/grpc/core/group__grpc__arg__keys.html
"""

from __future__ import annotations

from dataclasses import dataclass

_WINDOW_BYTES = 256 * 1024
"""What a call may send before its message is received; nearly every image fits into it."""

_IDLE_MS = 600_000
_AGE_MS = 3_600_000
_AGE_GRACE_MS = 60_000
_KEEPALIVE_MS = 60_000
_KEEPALIVE_TIMEOUT_MS = 20_000

HANDSHAKE_S = 4.0
"""Of TLS and HTTP/2 together: at a round trip of 600 ms they take 1.2 s, and about two more for
each packet that is lost."""


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """Bytes of one message, calls of one connection, connections, seconds between pings and for a
    handshake (of TLS, and of HTTP/2), which takes a place among the connections meanwhile.

    `shared`: other processes may listen on the same port (SO_REUSEPORT).
    """

    message_bytes: int
    max_calls_per_connection: int
    max_connections: int
    min_ping_interval_s: float
    handshake_s: float = HANDSHAKE_S
    shared: bool = False


def server_options(limits: TransportLimits) -> tuple[tuple[str, int], ...]:
    """Channel arguments of the server.

    What is compressed is handed on as it came, since a small compressed message may be a large
    one (`held.py`); replies never are. Connections end when nothing was asked for ten minutes, and
    after an hour in any case, which also spreads clients over servers that are new; what runs is
    finished. Pings without calls are welcome, one in `min_ping_interval_s`.
    """
    return (
        ("grpc.so_reuseport", int(limits.shared)),
        ("grpc.max_receive_message_length", limits.message_bytes),
        ("grpc.per_message_decompression", 0),
        ("grpc.max_concurrent_streams", limits.max_calls_per_connection),
        ("grpc.max_allowed_incoming_connections", limits.max_connections),
        ("grpc.http2.lookahead_bytes", _WINDOW_BYTES),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.server_handshake_timeout_ms", int(limits.handshake_s * 1000)),
        ("grpc.max_connection_idle_ms", _IDLE_MS),
        ("grpc.max_connection_age_ms", _AGE_MS),
        ("grpc.max_connection_age_grace_ms", _AGE_GRACE_MS),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", int(limits.min_ping_interval_s * 1000)),
    )
