"""Every setting of the agent, parsed once by the command line."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from hawkvision.images import ImageLimits
from hawkvision.repository import shipped_repository
from hawkvision.serving import exposure

MOST_PICTURES = 50
"""Of answered images, on the dashboard."""


@dataclass(frozen=True)
class EdgeConfig:
    """Settings; times in seconds unless the name says otherwise.

    `workers` are processes behind the same ports, each with so many `threads` for images; None is
    as many as there are cores, at most 4, and one for each of several workers.
    On `grpc_port` (None: nowhere) the same host speaks the Open Inference Protocol over gRPC.
    `tasks` empty means every task of the repository; the first one serves requests that name
    none. `gateways` are addresses in order of preference, those between which nothing is preferred
    with commas in one text; a call that is not answered after `hedge_after_ms`, or in the time in
    which the share `hedge_quantile` of calls is, is made at another one too (None: only once an
    answer is so late that the gateway may hang).
    `max_queue` counts images that wait for a worker, `max_body_bytes` one request's body,
    `max_buffered_bytes` the bytes of all bodies that are held at once; a body must keep up with
    `body_least_rate` bytes a second. `max_connections` None is as many as descriptors allow, at
    most 4096; `max_connections_per_peer` None is a quarter of them, and all for loopback. A
    request's head must come within `head_timeout_s`, the next one within `idle_timeout_s`, and a
    client must read what it asked for within `write_timeout_s`. `store` is `memory`, a Redis URL,
    or `off`;
    `rungs` is how many of a task's first rungs are held, as far as they fit into `memory_mb`
    (megabytes, of all tasks together): a number, `auto`, or None: one, or all that fit.
    `dc_flavour` says which files of a task the gateway's engine takes ("plain" for those that suit
    any), where they are not those of `engine`.
    `watch_repository` looks for new versions of the tasks so often, 0: only when told to.
    `updates` is the address of signed releases, `updates_root` the root that they are trusted by;
    `updates_pin` are versions (`TASK@VERSION`) that no release and no halt replaces.
    `journal` is a file that keeps counts across a crash (in memory without one); `probes` holds
    labelled images of the default task; `keys` is a file of API keys, `app_keys` the older one,
    JSON of apps and their keys; with neither, everybody may do everything. Off loopback it takes
    keys and TLS, unless `insecure` says that whoever reaches the port is trusted. `audit_log` is a
    file that keeps who changed what and who was refused, one JSON object a line (without one the
    log does).
    Pages of `cors_origins` may ask, each as browsers write it (`https://shop.example`).
    `max_apps` targets of apps are stored at most. Of `max_streams` lossy streams one address may
    have `max_streams_per_peer`, or an app that shows its key `max_streams_per_app`.
    `rtp_port` None takes the UDP port with the number of the HTTP port; `rtp_address` is the host
    that clients of lossy streams are told, where it is not the one they reached HTTP at. With
    `tls_cert` and `tls_key` (PEM files) the agent serves HTTPS. With `gateway_ca` gateways are
    spoken to under TLS, and shown `gateway_cert`; `gateway_name` stands in their certificates where
    their hosts do not. `store_ca`, `store_cert` and `store_key` are for a store under TLS
    (`rediss://`); its user's password may stand in `store_password_file`. Whether such a file has
    changed is looked at every `watch_certificates`, 0: only when told to.
    `dashboard` is the page at `/`; of `dashboard_images` answers, the newest, it keeps small
    pictures in memory. Spans of requests whose clients trace them, and of the share `trace_share`
    of all others, go to the collector at `otlp_endpoint` (None: nowhere).
    """

    host: str = "127.0.0.1"
    port: int = 8080
    gateways: tuple[str, ...] = ("127.0.0.1:8001",)
    gateway_ca: Path | None = None
    gateway_cert: Path | None = None
    gateway_key: Path | None = None
    gateway_name: str | None = None
    hedge_after_ms: float | None = None
    hedge_quantile: float | None = None
    grpc_port: int | None = None
    tasks: tuple[str, ...] = ()
    model_repository: Path = field(default_factory=shipped_repository)
    watch_repository: float = 0.0
    updates: str | None = None
    updates_root: Path | None = None
    updates_every_s: float = 300.0
    updates_pin: tuple[str, ...] = ()
    engine: str = "onnx"
    rungs: int | str | None = None
    memory_mb: float | None = None
    dc_flavour: str | None = None
    workers: int = 1
    threads: int | None = None
    max_queue: int = 64
    max_batch: int = 32
    max_escalations: int = 128
    limits: ImageLimits = field(default_factory=ImageLimits.of_machine)
    max_body_bytes: int = 32 * 1024 * 1024
    max_buffered_bytes: int = 256 * 1024 * 1024
    body_timeout_s: float = 10.0
    body_least_rate: float = 1000.0
    max_connections: int | None = None
    max_connections_per_peer: int | None = None
    head_timeout_s: float = 10.0
    idle_timeout_s: float = 75.0
    write_timeout_s: float = 20.0
    deadline_ms: float = 1000.0
    delta: float = 0.05
    store: str = "memory"
    store_ca: Path | None = None
    store_cert: Path | None = None
    store_key: Path | None = None
    store_password_file: Path | None = None
    journal: Path | None = None
    audit_share: float = 0.03
    control: bool = True
    tracking_interval_s: float = 0.5
    probes: Path | None = None
    keys: Path | None = None
    app_keys: Path | None = None
    insecure: bool = False
    audit_log: Path | None = None
    cors_origins: tuple[str, ...] = ()
    max_apps: int = 512
    rtp_port: int | None = None
    rtp_address: str | None = None
    max_streams: int = 64
    max_streams_per_peer: int = 16
    max_streams_per_app: int = 32
    stream_idle_s: float = 60.0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    watch_certificates: float = 10.0
    dashboard: bool = True
    dashboard_images: int = 0
    probe_every_s: float = 5.0
    otlp_endpoint: str | None = None
    trace_share: float = 0.01
    drain_notice_s: float = 1.0
    drain_timeout_s: float = 1.5

    @property
    def pool_threads(self) -> int:
        """Threads of one process that decode and infer."""
        if self.threads is not None:
            return self.threads
        return 1 if self.workers > 1 else min(4, os.cpu_count() or 1)

    def check_exposure(self) -> None:
        """Raise HawkVisionError where others would reach an agent that asks nobody who they are."""
        exposure.check(
            self.host,
            tls=self.tls_cert is not None,
            keys=self.keys is not None or self.app_keys is not None,
            insecure=self.insecure,
            hint="Give --tls-cert, --tls-key and --keys (`hawkvision keys create`)",
        )

    def of_worker(self) -> EdgeConfig:
        """The settings of one of the workers: bounds on memory, and on calls to the gateway, are
        for all together, so each has its part; room for one largest body and image it has always.
        """
        limits, count = self.limits, self.workers
        decode = max(16 * limits.max_pixels, limits.max_decode_bytes // count)
        return replace(
            self,
            limits=replace(limits, max_decode_bytes=min(decode, limits.max_decode_bytes)),
            max_buffered_bytes=min(
                self.max_buffered_bytes, max(self.max_body_bytes, self.max_buffered_bytes // count)
            ),
            max_escalations=max(1, self.max_escalations // count),
        )
