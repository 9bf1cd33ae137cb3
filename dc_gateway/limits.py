"""From the gateway's configuration to the limits of its gRPC door."""

from __future__ import annotations

from dc_gateway.config import GatewayConfig
from hawkvision.serving.grpc.door import DoorLimits
from hawkvision.serving.grpc.stream_book import StreamLimits
from hawkvision.serving.grpc.transport import TransportLimits


def door_limits(config: GatewayConfig) -> DoorLimits:
    """What the door of such a gateway lets in."""
    return DoorLimits(
        TransportLimits(
            config.message_bytes,
            config.max_calls_per_connection,
            config.max_connections,
            config.min_ping_interval_s,
            config.handshake_timeout_s,
        ),
        calls=config.max_calls,
        receiving=config.receiving,
        held_bytes=config.held_bytes,
        share=config.max_client_share,
        receive_s=config.receive_timeout_s,
        deadline_s=config.max_deadline_s,
        streams=StreamLimits(
            config.max_streams,
            config.max_stream_messages,
            config.max_client_share,
            idle_s=config.stream_idle_s,
            write_s=config.receive_timeout_s,
        ),
    )
