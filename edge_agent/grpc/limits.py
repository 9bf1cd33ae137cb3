"""From the agent's configuration to the limits of its gRPC port."""

from __future__ import annotations

from edge_agent.config import EdgeConfig
from hawkvision.oip.structure import STRUCTURE_BYTES
from hawkvision.serving.grpc.door import DoorLimits
from hawkvision.serving.grpc.stream_book import StreamLimits
from hawkvision.serving.grpc.transport import HANDSHAKE_S, TransportLimits

_CALLS = 256
_CALLS_PER_CONNECTION = 64
CONNECTIONS = 256
_SHARE = 0.75
_STREAMS = 8
_DEADLINE_S = 60.0
_PING_S = 5.0


def door_limits(config: EdgeConfig, *, shared: bool) -> DoorLimits:
    """Messages of one largest image; half of `max_buffered_bytes` is for those that come, half
    for those that are here. `shared`: the port is that of other workers too.
    """
    message = config.limits.max_bytes + STRUCTURE_BYTES
    half = config.max_buffered_bytes // 2
    return DoorLimits(
        TransportLimits(
            message,
            _CALLS_PER_CONNECTION,
            CONNECTIONS,
            _PING_S,
            min(config.head_timeout_s, HANDSHAKE_S),
            shared=shared,
        ),
        calls=_CALLS,
        receiving=max(1, half // message),
        held_bytes=max(half, message),
        share=_SHARE,
        receive_s=config.body_timeout_s,
        deadline_s=_DEADLINE_S,
        streams=StreamLimits(_STREAMS, share=_SHARE, write_s=config.write_timeout_s),
    )
