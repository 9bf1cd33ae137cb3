"""`hawkvision edge`: options, environment and file to one EdgeConfig."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from edge_agent.config import MOST_PICTURES, EdgeConfig
from edge_agent.origins import parse_origin
from hawkvision.errors import InvalidRequest
from hawkvision.serving import logs
from hawkvision.serving.config_file import read_config
from hawkvision.serving.image_options import image_options
from hawkvision.serving.rung_options import megabytes, rungs
from hawkvision.serving.tls_options import PEM, client_options, watch_option
from hawkvision.serving.trace_options import trace_options
from hawkvision.serving.update_options import update_options
from hawkvision.serving.upstreams.groups import parse_groups

_DEFAULT = EdgeConfig()


def _gateways(
    _context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    try:
        parse_groups(value)
        return value
    except InvalidRequest as error:
        raise click.BadParameter(f"{error.message}. {error.hint}") from error


def _origins(
    _context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    try:
        return tuple(parse_origin(one) for one in value)
    except InvalidRequest as error:
        raise click.BadParameter(f"{error.message}. {error.hint}") from error


@click.command("edge", context_settings={"show_default": True})
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=read_config,
    help="TOML file with any of these options.",
)
@click.option("--host", default=_DEFAULT.host)
@click.option("--port", default=_DEFAULT.port, type=click.IntRange(0, 65535), help="0: any free.")
@click.option(
    "--grpc-port",
    default=_DEFAULT.grpc_port,
    type=click.IntRange(0, 65535),
    show_default="none",
    help="Open Inference Protocol over gRPC.",
)
@click.option(
    "--gateway",
    "gateways",
    multiple=True,
    default=_DEFAULT.gateways,
    callback=_gateways,
    help="HOST:PORT of a data-center gateway, preferred ones first; equals with commas between.",
)
@client_options("--gateway", "gateways")
@click.option(
    "--hedge-after-ms",
    default=_DEFAULT.hedge_after_ms,
    type=click.FloatRange(1),
    help="Ask a second gateway when the first has not answered so long.",
    show_default="when it may hang",
)
@click.option(
    "--hedge-quantile",
    default=_DEFAULT.hedge_quantile,
    type=click.FloatRange(0.5, 0.999),
    help="As --hedge-after-ms, after the time within which this share of calls is answered.",
    show_default="none",
)
@click.option("--task", "tasks", multiple=True, help="Serve only these; the first is default.")
@click.option(
    "--model-repository",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=_DEFAULT.model_repository,
    show_default="the tasks that ship",
)
@click.option(
    "--watch-repository",
    default=_DEFAULT.watch_repository,
    type=click.FloatRange(0, 86_400),
    help="Look for new versions of the tasks every so many seconds; 0: when told to.",
)
@update_options(
    _DEFAULT.updates_every_s,
    "Take new versions from here, in waves, as they are signed.",
)
@click.option(
    "--updates-pin",
    multiple=True,
    metavar="TASK@VERSION",
    help="Keep this version, whatever is released or the fleet halts.",
)
@click.option("--engine", default=_DEFAULT.engine)
@click.option(
    "--rungs",
    default=_DEFAULT.rungs,
    type=rungs,
    metavar="N|auto",
    show_default="1, or all that fit into --memory",
    help="How many of a task's rungs are held here; auto: as the link and they cost.",
)
@click.option(
    "--memory",
    "memory_mb",
    default=_DEFAULT.memory_mb,
    type=megabytes,
    metavar="SIZE",
    show_default="no bound",
    help="For rungs, e.g. 200MB; the first of each task is always held.",
)
@click.option(
    "--dc-flavour",
    default=_DEFAULT.dc_flavour,
    help="The files that the gateway runs: tensorrt, or plain.",
    show_default="those that --engine takes here",
)
@click.option(
    "--workers",
    default=_DEFAULT.workers,
    type=click.IntRange(1, 64),
    help="Processes behind one port, for every core.",
)
@click.option(
    "--threads",
    default=_DEFAULT.threads,
    type=click.IntRange(1, 64),
    help="Of each worker, for images.",
    show_default="cores, <= 4; 1 with workers",
)
@click.option("--max-queue", default=_DEFAULT.max_queue, type=click.IntRange(1), help="Images.")
@click.option("--max-batch", default=_DEFAULT.max_batch, type=click.IntRange(1))
@click.option("--max-escalations", default=_DEFAULT.max_escalations, type=click.IntRange(1))
@image_options(_DEFAULT.limits)
@click.option("--max-body-bytes", default=_DEFAULT.max_body_bytes, type=click.IntRange(1))
@click.option("--max-buffered-bytes", default=_DEFAULT.max_buffered_bytes, type=click.IntRange(1))
@click.option("--body-timeout-s", default=_DEFAULT.body_timeout_s, type=click.FloatRange(0.01))
@click.option(
    "--body-least-rate",
    default=_DEFAULT.body_least_rate,
    type=click.FloatRange(0, min_open=True),
    help="Bytes a second.",
)
@click.option(
    "--max-connections",
    default=_DEFAULT.max_connections,
    type=click.IntRange(1),
    show_default="as descriptors allow, <= 4096",
)
@click.option(
    "--max-connections-per-peer",
    default=_DEFAULT.max_connections_per_peer,
    type=click.IntRange(1),
    show_default="a quarter; on loopback all",
)
@click.option(
    "--head-timeout-s",
    default=_DEFAULT.head_timeout_s,
    type=click.FloatRange(0.01),
    help="For a request's line and headers, and for a TLS handshake.",
)
@click.option(
    "--idle-timeout-s",
    default=_DEFAULT.idle_timeout_s,
    type=click.FloatRange(0.01),
    help="Between the requests of a connection.",
)
@click.option(
    "--write-timeout-s",
    default=_DEFAULT.write_timeout_s,
    type=click.FloatRange(0.01),
    help="For a client to read what it asked for.",
)
@click.option("--deadline-ms", default=_DEFAULT.deadline_ms, type=click.FloatRange(1))
@click.option("--delta", default=_DEFAULT.delta, type=click.FloatRange(1e-6, 0.5))
@click.option(
    "--store", default=_DEFAULT.store, help="memory, off, or redis://HOST:6379/0 (fleet)."
)
@click.option(
    "--store-ca",
    type=PEM,
    show_default="the system's alone",
    help="PEM file of authorities that sign for the store (rediss://).",
)
@click.option("--store-cert", type=PEM, help="PEM chain that the store is shown.")
@click.option("--store-key", type=PEM)
@click.option(
    "--store-password-file",
    type=PEM,
    help="The password of the store's user; read again when it changes.",
)
@click.option(
    "--journal",
    default=_DEFAULT.journal,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that keeps counts until the store has them.",
    show_default="in memory",
)
@click.option("--audit-share", default=_DEFAULT.audit_share, type=click.FloatRange(0, 0.5))
@click.option("--control/--no-control", default=_DEFAULT.control, help="Steer thresholds.")
@click.option(
    "--probes",
    default=_DEFAULT.probes,
    type=click.Path(exists=True, path_type=Path),
    help="Labelled images of the default task, replayed through both rungs.",
    show_default="none",
)
@click.option(
    "--keys",
    default=_DEFAULT.keys,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="API keys, as `hawkvision keys` writes them.",
    show_default="anybody may do everything",
)
@click.option(
    "--app-keys",
    default=_DEFAULT.app_keys,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON, {app: key}, from before --keys: keys that may do everything of their app.",
    show_default="none",
)
@click.option(
    "--insecure",
    is_flag=True,
    default=_DEFAULT.insecure,
    help="Listen off loopback without TLS or keys: whoever reaches the port is trusted.",
)
@click.option(
    "--audit-log",
    default=_DEFAULT.audit_log,
    type=click.Path(dir_okay=False, path_type=Path),
    help="JSON lines: who changed what, and who was refused.",
    show_default="the log",
)
@click.option(
    "--cors-origin",
    "cors_origins",
    multiple=True,
    default=_DEFAULT.cors_origins,
    callback=_origins,
    metavar="ORIGIN",
    help="Pages of this origin, e.g. https://shop.example:8443, may ask from browsers.",
    show_default="none",
)
@click.option("--max-apps", default=_DEFAULT.max_apps, type=click.IntRange(1), help="Stored.")
@click.option(
    "--rtp-port",
    default=None,
    type=click.IntRange(0, 65535),
    help="UDP port of lossy streams.",
    show_default="as --port",
)
@click.option("--rtp-address", default=None, help="Host that stream clients are told (behind NAT).")
@click.option("--max-streams", default=_DEFAULT.max_streams, type=click.IntRange(0))
@click.option(
    "--max-streams-per-peer",
    default=_DEFAULT.max_streams_per_peer,
    type=click.IntRange(1),
    help="Of one address without an app's key.",
)
@click.option(
    "--max-streams-per-app",
    default=_DEFAULT.max_streams_per_app,
    type=click.IntRange(1),
    help="Of an app that shows its key.",
)
@click.option("--stream-idle-s", default=_DEFAULT.stream_idle_s, type=click.FloatRange(1))
@click.option("--tls-cert", type=PEM, help="PEM chain; with --tls-key the agent serves HTTPS.")
@click.option("--tls-key", type=PEM)
@watch_option
@click.option("--dashboard/--no-dashboard", default=_DEFAULT.dashboard, help="The page at /.")
@click.option(
    "--dashboard-images",
    default=_DEFAULT.dashboard_images,
    type=click.IntRange(0, MOST_PICTURES),
    metavar="N",
    help="Keep small pictures of the last N images for it, in memory.",
)
@click.option("--probe-every-s", default=_DEFAULT.probe_every_s, type=click.FloatRange(0.01))
@click.option(
    "--tracking-interval-s", default=_DEFAULT.tracking_interval_s, type=click.FloatRange(0.05)
)
@trace_options
@logs.log_options
def command(log_level: str, log_format: str, **options: Any) -> None:
    """Serve images over HTTP: answer at the edge, escalate what is doubtful."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what fails is said once, by us
    with logs.configured(log_level, log_format):
        config = EdgeConfig(**options)
        config.check_exposure()
        if config.workers > 1:
            from edge_agent.workers.parent import run as run_workers

            run_workers(config)
        else:
            from edge_agent.agent import run

            run(config)
