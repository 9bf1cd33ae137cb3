"""Every setting of the gateway, parsed once by the command line."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from hawkvision.images import ImageLimits
from hawkvision.oip.structure import STRUCTURE_BYTES
from hawkvision.repository import shipped_repository
from hawkvision.serving import exposure
from hawkvision.serving.grpc.transport import HANDSHAKE_S


@dataclass(frozen=True)
class GatewayConfig:
    """Settings; times in seconds.

    `tasks` empty means every task of the repository. On `http_port` (None: nowhere) the same host
    answers the protocol over REST, and `GET /metrics`. On `metrics_port` (None: nowhere) the same
    host answers `GET /metrics`, on `health_port` probes in the
    clear. Spans of calls that are traced, and of the share `trace_share` of
    all others, go to the collector at `otlp_endpoint` (None: nowhere).
    `max_queue` counts images that wait for a
    thread, `max_images` those of one request. With `processes`, as many worker processes compute
    in place of `threads`; one that says nothing for `process_grace_s` after a deadline is killed.
    Of each task the rungs from the place `first_rung` on are held, the last one always.
    With `upstreams` (groups of addresses, the preferred first) only `tasks` are held here; calls
    for others are handed on.
    With `batching`, calls share batches of at most `max_batch` images; None: those of models that
    run on a device, not on the CPU, where it costs more than it saves.

    `updates` is the address of signed releases, `updates_root` the root that they are trusted by.
    `watch_repository` looks for new versions of the tasks so often, 0: only when told to. Of each
    task `keep_versions` stay resident, the older ones while a call has named them within
    `version_grace_s`. With `model_control` clients may load and unload; None: on loopback alone.

    `max_calls` bounds calls whose message is not here yet, of which `max_calls_per_connection` may
    come over one of `max_connections`, which are counted from the first packet on and have
    `handshake_timeout_s` until they may call; a message must be here within `receive_timeout_s`,
    and a call is answered within `max_deadline_s`, whatever longer time it allows.
    `max_message_bytes` None stands for one image of the largest size and 64 KiB.

    Half of `max_buffered_bytes` is for messages being received, each of which may turn out to be
    the largest, half for those that are here and not answered. `max_client_share` is how much of
    that half, and of the queue, one client may take; where several wait, they share by
    `client_weights`, 1 of those that are not named. Of a client that pings more often than each
    `min_ping_interval_s`, the connection is closed.

    Of `max_streams` streams each may be sending the largest message, beside `max_buffered_bytes`;
    each has at most `max_stream_messages` that are not answered, and ends after `stream_idle_s`
    without any.

    With `tls_cert` and `tls_key` (PEM files) both ports speak TLS; with `tls_client_ca` clients
    must show a certificate that one of these authorities signed. Its name is then who calls, as
    limits for one client count it, and with `allow_clients` only these may call. `upstream_ca`,
    `upstream_cert`, `upstream_key` and `upstream_name` are for upstreams under TLS. Whether such a
    file has changed is looked at every `watch_certificates`, 0: only when told to.

    While `drain_notice_s` lasts, the gateway still answers but says that it is not ready; then
    calls in flight have `drain_grace_s` to finish. With `insecure` others may reach `host`
    also without TLS and certificates of clients.
    """

    host: str = "127.0.0.1"
    port: int = 8001
    http_port: int | None = None
    metrics_port: int | None = None
    health_port: int | None = None
    otlp_endpoint: str | None = None
    trace_share: float = 0.01
    tasks: tuple[str, ...] = ()
    model_repository: Path = field(default_factory=shipped_repository)
    watch_repository: float = 0.0
    updates: str | None = None
    updates_root: Path | None = None
    updates_every_s: float = 300.0
    keep_versions: int = 2
    version_grace_s: float = 600.0
    model_control: bool | None = None
    engine: str = "onnx"
    first_rung: int = 1
    threads: int = field(default_factory=lambda: min(4, os.cpu_count() or 1))
    processes: int = 0
    process_grace_s: float = 5.0
    upstreams: tuple[str, ...] = ()
    upstream_ca: Path | None = None
    upstream_cert: Path | None = None
    upstream_key: Path | None = None
    upstream_name: str | None = None
    max_queue: int = 64
    max_images: int = 64
    batching: bool | None = None
    max_batch: int = 32
    max_calls: int = 512
    max_calls_per_connection: int = 128
    max_connections: int = 512
    max_message_bytes: int | None = None
    max_buffered_bytes: int = 512 * 1024 * 1024
    max_client_share: float = 0.75
    client_weights: tuple[tuple[str, float], ...] = ()
    handshake_timeout_s: float = HANDSHAKE_S
    receive_timeout_s: float = 10.0
    max_deadline_s: float = 60.0
    min_ping_interval_s: float = 5.0
    max_streams: int = 16
    max_stream_messages: int = 8
    stream_idle_s: float = 300.0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    allow_clients: tuple[str, ...] = ()
    watch_certificates: float = 10.0
    limits: ImageLimits = field(default_factory=ImageLimits.of_machine)
    drain_notice_s: float = 0.5
    drain_grace_s: float = 3.0
    insecure: bool = False

    def check_exposure(self) -> None:
        """Raise HawkVisionError where others would reach ports that ask nobody who they are."""
        exposure.check(
            self.host,
            tls=self.tls_cert is not None,
            keys=self.tls_client_ca is not None,
            insecure=self.insecure,
            hint="Give --tls-cert, --tls-key and --tls-client-ca",
        )

    @property
    def lanes(self) -> int:
        """How many calls are computed at a time."""
        return self.processes or self.threads

    @property
    def images_per_request(self) -> int:
        """Most images of one request: more than the queue holds could never be served."""
        return min(self.max_images, self.max_queue)

    @property
    def changes_models(self) -> bool:
        """Whether clients may load and unload models."""
        if self.model_control is not None:
            return self.model_control
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    @property
    def message_bytes(self) -> int:
        """Largest gRPC message that is received."""
        return self.max_message_bytes or self.limits.max_bytes + STRUCTURE_BYTES

    @property
    def receiving(self) -> int:
        """How many messages are received at a time."""
        return max(1, self.max_buffered_bytes // 2 // self.message_bytes)

    @property
    def held_bytes(self) -> int:
        """Most bytes of messages that are here and not answered; the largest always fits."""
        return max(self.max_buffered_bytes // 2, self.message_bytes)
