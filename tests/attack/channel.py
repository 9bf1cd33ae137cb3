"""Well-formed gRPC for attackers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio

from tests.attack.attack import Target


def channel_to(target: Target, options: Sequence[tuple[str, Any]] = ()) -> grpc.aio.Channel:
    """A channel to the target's gRPC port, under TLS with an insider's certificate if it is."""
    if target.access is None:
        return grpc.aio.insecure_channel(target.gateway, options=list(options))
    credentials = target.access.credentials()
    return grpc.aio.secure_channel(target.gateway, credentials, options=list(options))


def metadata(target: Target) -> list[tuple[str, str]]:
    """The key that the next attacker shows."""
    return [(name.lower(), value) for name, value in target.shown().items()]
