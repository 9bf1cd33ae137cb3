"""`hawkvision dc`: options, environment and file to one GatewayConfig."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import click

from dc_gateway.config import GatewayConfig
from hawkvision.errors import InvalidRequest
from hawkvision.serving import logs
from hawkvision.serving.config_file import read_config
from hawkvision.serving.image_options import image_options
from hawkvision.serving.tls_options import PEM, client_options, watch_option
from hawkvision.serving.trace_options import trace_options
from hawkvision.serving.update_options import update_options
from hawkvision.serving.upstreams.groups import parse_groups

_DEFAULT = GatewayConfig()


def check_upstreams(
    _context: click.Context, _option: click.Parameter, texts: tuple[str, ...]
) -> tuple[str, ...]:
    """Groups of addresses as they are. Raises BadParameter for what is none."""
    try:
        if texts:
            parse_groups(texts)
    except InvalidRequest as error:
        raise click.BadParameter(f"{error.message}. {error.hint}") from error
    return texts


def parse_weights(
    _context: click.Context, _option: click.Parameter, texts: tuple[str, ...]
) -> tuple[tuple[str, float], ...]:
    """Names with their weights; a name may hold equal signs. Raises BadParameter."""
    found = []
    for one in texts:
        name, _, text = one.rpartition("=")
        try:
            weight = float(text)
        except ValueError:
            weight = 0.0
        if not name or not 0 < weight < math.inf:
            raise click.BadParameter(f"{one!r} is no NAME=WEIGHT with a weight above 0.")
        found.append((name, weight))
    return tuple(found)


@click.command("dc", context_settings={"show_default": True})
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
    "--http-port",
    default=_DEFAULT.http_port,
    type=click.IntRange(0, 65535),
    show_default="none",
    help="The same protocol over REST, and GET /metrics.",
)
@click.option(
    "--metrics-port",
    default=_DEFAULT.metrics_port,
    type=click.IntRange(0, 65535),
    show_default="none",
    help="HTTP, GET /metrics for Prometheus.",
)
@click.option(
    "--health-port",
    default=_DEFAULT.health_port,
    type=click.IntRange(0, 65535),
    show_default="none",
    help="HTTP without TLS, GET /v2/health/live and /v2/health/ready alone, for probes that show "
    "no certificate.",
)
@click.option("--task", "tasks", multiple=True, help="Serve only these.")
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
    "Take new versions from here as they are signed, at once; waves are for agents.",
)
@click.option(
    "--keep-versions",
    default=_DEFAULT.keep_versions,
    type=click.IntRange(1, 16),
    help="Resident of each task; the older ones for agents that still ask for them.",
)
@click.option(
    "--version-grace-s",
    default=_DEFAULT.version_grace_s,
    type=click.FloatRange(0),
    help="So long an older version stays that no call asks for.",
)
@click.option(
    "--model-control/--no-model-control",
    default=_DEFAULT.model_control,
    show_default="on loopback alone",
    help="Clients may load and unload models; the port asks for no key.",
)
@click.option("--engine", default=_DEFAULT.engine)
@click.option(
    "--first-rung",
    default=_DEFAULT.first_rung,
    type=click.IntRange(1, 64),
    help="Place in a task of the first one held here, where all agents hold those before.",
)
@click.option(
    "--threads", default=_DEFAULT.threads, type=click.IntRange(1, 64), show_default="cores, <= 4"
)
@click.option(
    "--processes",
    default=_DEFAULT.processes,
    type=click.IntRange(0, 64),
    show_default="none",
    help="Worker processes that compute in place of threads; one that ends is replaced.",
)
@click.option(
    "--process-grace-s",
    default=_DEFAULT.process_grace_s,
    type=click.FloatRange(0.1, 3600),
    help="A worker process that is silent for so long after a deadline is killed.",
)
@click.option(
    "--upstream",
    "upstreams",
    multiple=True,
    metavar="HOST:PORT[,HOST:PORT...]",
    callback=check_upstreams,
    help="Servers of the protocol that calls for tasks other than --task's are handed on to, the "
    "preferred first; equals with commas.",
)
@client_options("--upstream", "upstreams")
@click.option("--max-queue", default=_DEFAULT.max_queue, type=click.IntRange(1), help="Images.")
@click.option(
    "--max-images", default=_DEFAULT.max_images, type=click.IntRange(1), help="Of one request."
)
@click.option(
    "--batching/--no-batching",
    default=_DEFAULT.batching,
    show_default="where no CPU computes",
    help="Calls share batches; who waits for one, and how long, is learned from what they cost.",
)
@click.option(
    "--max-batch", default=_DEFAULT.max_batch, type=click.IntRange(1, 1024), help="Images of one."
)
@click.option(
    "--max-calls",
    default=_DEFAULT.max_calls,
    type=click.IntRange(1),
    help="Calls whose message is not here yet.",
)
@click.option(
    "--max-calls-per-connection",
    default=_DEFAULT.max_calls_per_connection,
    type=click.IntRange(1),
    help="A client with more waits.",
)
@click.option("--max-connections", default=_DEFAULT.max_connections, type=click.IntRange(1))
@click.option(
    "--max-message-bytes",
    default=None,
    type=click.IntRange(1024),
    show_default="the largest image and 64 KiB",
    help="One request's, all images together.",
)
@click.option(
    "--max-buffered-bytes",
    default=_DEFAULT.max_buffered_bytes,
    type=click.IntRange(1024),
    help="All requests' together.",
)
@click.option(
    "--max-client-share",
    default=_DEFAULT.max_client_share,
    type=click.FloatRange(0, 1, min_open=True),
    help="Of queue and buffers.",
)
@click.option(
    "--client-weight",
    "client_weights",
    multiple=True,
    metavar="NAME=WEIGHT",
    callback=parse_weights,
    show_default="1 each",
    help="Of a client's turns where several wait; by its certificate's name, or its address.",
)
@click.option(
    "--handshake-timeout-s",
    default=_DEFAULT.handshake_timeout_s,
    type=click.FloatRange(0.01, 3600),
    help="For a connection's handshake, of TLS too.",
)
@click.option(
    "--receive-timeout-s", default=_DEFAULT.receive_timeout_s, type=click.FloatRange(0.01, 3600)
)
@click.option(
    "--max-deadline-s", default=_DEFAULT.max_deadline_s, type=click.FloatRange(0.01, 3600)
)
@click.option(
    "--min-ping-interval-s",
    default=_DEFAULT.min_ping_interval_s,
    type=click.FloatRange(0.001, 3600),
    help="A client that pings more often is cut off.",
)
@click.option(
    "--max-streams",
    default=_DEFAULT.max_streams,
    type=click.IntRange(1),
    help="Of ModelStreamInfer; each may hold one message more.",
)
@click.option(
    "--max-stream-messages",
    default=_DEFAULT.max_stream_messages,
    type=click.IntRange(1),
    help="Of one stream, not answered yet.",
)
@click.option(
    "--stream-idle-s",
    default=_DEFAULT.stream_idle_s,
    type=click.FloatRange(0.01),
    help="A stream that sends nothing for so long ends.",
)
@click.option(
    "--insecure",
    is_flag=True,
    default=_DEFAULT.insecure,
    help="Listen off loopback without TLS or certificates of clients.",
)
@click.option("--tls-cert", type=PEM, help="PEM chain; with --tls-key all ports speak TLS.")
@click.option("--tls-key", type=PEM)
@click.option(
    "--tls-client-ca",
    type=PEM,
    help="PEM file of authorities: clients must show a certificate of theirs (mTLS).",
)
@click.option(
    "--allow-client",
    "allow_clients",
    multiple=True,
    metavar="NAME",
    show_default="all that --tls-client-ca lets in",
    help="Name in the certificate of a client that may call.",
)
@watch_option
@image_options(_DEFAULT.limits)
@trace_options
@logs.log_options
def command(log_level: str, log_format: str, **options: Any) -> None:
    """Serve the larger models over gRPC, and REST, Open Inference Protocol v2."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what fails is said once, by us
    with logs.configured(log_level, log_format):
        config = GatewayConfig(**options)
        config.check_exposure()
        from dc_gateway.server import run

        run(config)
