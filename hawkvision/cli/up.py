"""`hawkvision up`: an edge agent and a gateway on this machine."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from hawkvision import extensions
from hawkvision.cli.processes import Child, StartInterrupted, stop_all
from hawkvision.engines import check_onnx_runtime
from hawkvision.errors import HawkVisionError
from hawkvision.repository import Repository, shipped_repository
from hawkvision.serving import environment, exposure, logs
from hawkvision.serving.address import ANY, bracketed
from hawkvision.serving.restarts import Restarts
from hawkvision.serving.service import stop_signals
from hawkvision.serving.tls_options import PEM
from hawkvision.taskbuild.traffic import DRAWN

_log = logging.getLogger(__name__)
_BACK_OFF_S = (0.5, 1.0, 2.0, 5.0)
_COMMANDS = extensions.COMMANDS


class _Kept:
    """A child that is started again, with growing pauses, when it ends by itself."""

    def __init__(self, name: str, options: list[str]) -> None:
        self.options = options
        self.child = Child(name, options)
        self._restarts = Restarts(_BACK_OFF_S)
        self._restarts.started(time.monotonic())
        self._again_at: float | None = None

    def look(self, now: float) -> None:
        """Restart if it is time to."""
        if self.child.running:
            return
        if self._again_at is None:
            pause = self._restarts.ended(now)
            self._again_at = now + pause
            status = self.child.process.returncode
            _log.warning("%s ended with status %s; again in %g s", self.child.name, status, pause)
        elif now >= self._again_at:
            self.child = Child(self.child.name, self.options)
            self._restarts.started(now)
            self._again_at = None


@click.command("up", context_settings={"show_default": True, "ignore_unknown_options": True})
@click.option("--task", "tasks", multiple=True, help="Serve only these; the first is default.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, help="Of the edge; 0: free.")
@click.option("--gateway-port", type=click.IntRange(0, 65535), default=8001)
@click.option(
    "--gateway-tls-cert", type=PEM, help="PEM chain of the gateway; the edge needs --gateway-ca."
)
@click.option("--gateway-tls-key", type=PEM)
@click.option(
    "--gateway-client-ca", type=PEM, help="Who signs for clients of the gateway, the edge too."
)
@click.option(
    "--model-repository",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=shipped_repository,
    show_default="the tasks that ship",
)
@logs.log_options
@click.argument("edge_options", nargs=-1, type=click.UNPROCESSED, metavar="[EDGE OPTIONS]")
@click.pass_context
def command(
    context: click.Context,
    /,
    edge_options: tuple[str, ...],
    gateway_port: int,
    gateway_tls_cert: Path | None,
    gateway_tls_key: Path | None,
    gateway_client_ca: Path | None,
    **_: Any,
) -> None:
    """Run an edge agent and a data-center gateway here, until Ctrl-C or SIGTERM.

    Options of `hawkvision edge` (--host, --store, --config, ...; see its --help) are passed on to
    it.
    """
    options = [*_given(context), *edge_options]
    check_onnx_runtime()  # the gateway's at least; its children would each say it
    edge = edge_settings(options)
    _check_exposure(edge)
    stop = threading.Event()
    for number in stop_signals():
        signal.signal(number, lambda *_: stop.set())
    with (
        logs.configured(edge["log_level"], edge["log_format"]),
        contextlib.suppress(StartInterrupted),
    ):
        tls = {
            "--tls-cert": gateway_tls_cert,
            "--tls-key": gateway_tls_key,
            "--tls-client-ca": gateway_client_ca,
        }
        own = [word for name, path in tls.items() if path for word in _option(name, path)]
        _keep(options, edge, ["--port", str(gateway_port), *own], stop)


def _check_exposure(edge: Mapping[str, Any]) -> None:
    """Raise what the edge would, before anything is started; the gateway stays on loopback."""
    exposure.check(
        edge["host"],
        tls=edge["tls_cert"] is not None,
        keys=edge["keys"] is not None or edge["app_keys"] is not None,
        insecure=edge["insecure"],
        hint="Give --tls-cert, --tls-key and --keys (`hawkvision keys create`)",
    )


_OWN = ("tasks", "port", "model_repository", "log_level", "log_format")


def _given(context: click.Context) -> list[str]:
    """Those of our own options that somebody gave, as the edge takes them."""
    options: list[str] = []
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if name not in _OWN or source is click.core.ParameterSource.DEFAULT:
            continue
        options += _option(parameter.opts[0], context.params[name])
    return options


def _option(name: str, value: Any) -> list[str]:
    values = value if isinstance(value, tuple) else (value,)
    return [f"{name}={one}" for one in values]


def edge_settings(options: Sequence[str]) -> Mapping[str, Any]:
    """What the edge makes of its options, its environment and its file.

    Raises click.UsageError as it would, before anything is started.
    """
    edge: click.Command = extensions.load(_COMMANDS, "edge")
    prefix = f"{environment.PREFIX}_EDGE"
    environment.name_options(edge, prefix)
    others = [f"{environment.PREFIX}_{name.upper()}" for name in extensions.registered(_COMMANDS)]
    environment.check(os.environ, edge, prefix, others)
    with edge.make_context("up", list(options), auto_envvar_prefix=prefix) as context:
        if context.get_parameter_source("gateways") is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(
                "up starts a gateway of its own; with another one, run `hawkvision edge --gateway`"
            )
        if context.params["updates"] is not None:
            raise click.UsageError(
                "both sides of up share one model repository; for --updates run `hawkvision edge` "
                "and `hawkvision dc` with one each"
            )
        return dict(context.params)


_SHARED = {
    "tasks": "--task",
    "model_repository": "--model-repository",
    "watch_repository": "--watch-repository",
    "watch_certificates": "--watch-certificates",
    "max_image_bytes": "--max-image-bytes",
    "max_pixels": "--max-pixels",
    "log_level": "--log-level",
    "log_format": "--log-format",
}
"""Settings that both sides must agree on, or should."""


def _keep(
    options: Sequence[str], edge: Mapping[str, Any], own: Sequence[str], stop: threading.Event
) -> None:
    """Start both, keep them running until `stop`, and drain them whatever happens.

    `own` are options of the gateway, its port first.
    """
    common = [word for key, name in _SHARED.items() for word in _option(name, edge[key])]
    kept: list[_Kept] = []
    try:
        kept.append(_Kept("dc", [*own, *common]))
        gateway = kept[0].child.wait_ready(stop)
        kept[0].options = [*own, "--port", gateway.rsplit(":", 1)[1], *common]
        kept.append(_Kept("edge", [*options, "--gateway", gateway]))
        url = kept[1].child.wait_ready(stop)
        kept[1].options = [*options, "--port", url.rsplit(":", 1)[1], "--gateway", gateway]
        for line in to_try(url, edge):
            click.echo(line)
        while not stop.wait(0.1):
            for one in kept:
                one.look(time.monotonic())
    finally:
        stop_all([one.child for one in kept])


def to_try(url: str, edge: Mapping[str, Any]) -> list[str]:
    """The dashboard, and commands that work as they are printed, once `photo.jpg` is there."""
    scheme, _, rest = url.partition("://")
    port = rest.rsplit(":", 1)[1]
    url = f"{scheme}://{bracketed(ANY.get(edge['host'], edge['host']))}:{port}"
    trust = [] if edge["tls_cert"] is None else ["--cacert", str(edge["tls_cert"])]
    task, accuracy = _default(edge)
    asked = f"{url}/v1/classify?accuracy={accuracy:g}"
    lines = [f"dashboard: {url}/"] if edge["dashboard"] else []
    lines += [
        f"try: {shlex.join(['curl', *trust])} --data-binary @photo.jpg '{asked}'",
    ]
    if task == DRAWN:
        prefix = f"SSL_CERT_FILE={shlex.quote(trust[1])} " if trust else ""
        lines.append(
            f"or, with drawn images: {prefix}hawkvision evaluate --data {DRAWN}:100 "
            f"--accuracy {accuracy:g} --url '{url}'"
        )
    return lines


def _default(edge: Mapping[str, Any]) -> tuple[str, float]:
    """The task that is asked where a client names none, and its own target."""
    repository = Repository(edge["model_repository"])
    names = list(edge["tasks"]) or repository.tasks()
    name = edge["tasks"][0] if edge["tasks"] else (DRAWN if DRAWN in names else names[0])
    try:
        return name, repository.open(name).default_accuracy
    except HawkVisionError:  # a version that came or went meanwhile
        return name, 0.5
