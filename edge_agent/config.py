"""Every setting of the agent, parsed once by the command line."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from hawkvision.images import ImageLimits
from hawkvision.repository import shipped_repository


@dataclass(frozen=True)
class EdgeConfig:
    """Settings; times in seconds unless the name says otherwise.

    `tasks` empty means every task of the repository; the first one serves requests that name
    none. `max_queue` counts images that wait for a worker, `max_body_bytes` one request's body,
    `max_buffered_bytes` the bytes of all bodies that are held at once; a body must keep up with
    `body_least_rate` bytes a second. `store` is `memory`, a Redis URL, or `off`;
    `journal` is a file that keeps counts across a crash (in memory without one); `probes` holds
    labelled images of the default task; `app_keys` is a JSON file of apps and their keys.
    `rtp_port` None takes the UDP port with the number of the HTTP port; `rtp_address` is the host
    that clients of lossy streams are told, where it is not the one they reached HTTP at. With
    `tls_cert` and `tls_key` (PEM files) the agent serves HTTPS.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    gateway: str = "127.0.0.1:8001"
    tasks: tuple[str, ...] = ()
    model_repository: Path = field(default_factory=shipped_repository)
    engine: str = "onnx"
    workers: int = field(default_factory=lambda: min(4, os.cpu_count() or 1))
    max_queue: int = 64
    max_batch: int = 32
    max_escalations: int = 128
    limits: ImageLimits = field(default_factory=ImageLimits.of_machine)
    max_body_bytes: int = 32 * 1024 * 1024
    max_buffered_bytes: int = 256 * 1024 * 1024
    body_timeout_s: float = 10.0
    body_least_rate: float = 1000.0
    deadline_ms: float = 1000.0
    delta: float = 0.05
    store: str = "memory"
    journal: Path | None = None
    audit_share: float = 0.03
    control: bool = True
    tracking_interval_s: float = 0.5
    probes: Path | None = None
    app_keys: Path | None = None
    rtp_port: int | None = None
    rtp_address: str | None = None
    max_streams: int = 64
    stream_idle_s: float = 60.0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    probe_every_s: float = 5.0
    drain_notice_s: float = 1.0
    drain_timeout_s: float = 2.5
