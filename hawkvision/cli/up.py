"""`hawkvision up`: an edge agent and a gateway on this machine."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from pathlib import Path

import click

from hawkvision.cli.processes import Child, StartInterrupted, stop_all
from hawkvision.repository import shipped_repository

_BACK_OFF_S = (0.5, 1.0, 2.0, 5.0)
_STABLE_S = 30.0


class _Kept:
    """A child that is started again, with growing pauses, when it ends by itself."""

    def __init__(self, name: str, options: list[str]) -> None:
        self.options = options
        self.child = Child(name, options)
        self._failures = 0
        self._started = time.monotonic()
        self._again_at: float | None = None

    def look(self, now: float) -> None:
        """Restart if it is time to."""
        if self.child.running:
            return
        if self._again_at is None:
            if now - self._started > _STABLE_S:
                self._failures = 0
            pause = _BACK_OFF_S[min(self._failures, len(_BACK_OFF_S) - 1)]
            self._failures += 1
            self._again_at = now + pause
            status = self.child.process.returncode
            click.echo(f"{self.child.name} ended with status {status}; again in {pause:g} s")
        elif now >= self._again_at:
            self.child = Child(self.child.name, self.options)
            self._started = now
            self._again_at = None


@click.command("up", context_settings={"show_default": True})
@click.option("--task", "tasks", multiple=True, help="Serve only these; the first is default.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, help="Of the edge; 0: free.")
@click.option("--gateway-port", type=click.IntRange(0, 65535), default=8001)
@click.option(
    "--model-repository",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=shipped_repository,
    show_default="the tasks that ship",
)
def command(tasks: tuple[str, ...], port: int, gateway_port: int, model_repository: Path) -> None:
    """Run an edge agent and a data-center gateway here, until Ctrl-C or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    with contextlib.suppress(StartInterrupted):
        _keep(list(tasks), port, gateway_port, model_repository, stop)


def _keep(
    tasks: list[str], port: int, gateway_port: int, model_repository: Path, stop: threading.Event
) -> None:
    """Start both, keep them running until `stop`, and drain them whatever happens."""
    common = ["--model-repository", str(model_repository)]
    common += [option for task in tasks for option in ("--task", task)]
    kept: list[_Kept] = []
    try:
        kept.append(_Kept("dc", ["--port", str(gateway_port), *common]))
        gateway = kept[0].child.wait_ready(stop)
        kept[0].options = ["--port", gateway.rsplit(":", 1)[1], *common]
        kept.append(_Kept("edge", ["--port", str(port), "--gateway", gateway, *common]))
        url = kept[1].child.wait_ready(stop)
        edge_port = url.rsplit(":", 1)[1]
        kept[1].options = ["--port", edge_port, "--gateway", gateway, *common]
        click.echo(f"try: curl --data-binary @photo.jpg '{url}/v1/classify?accuracy=0.90'")
        while not stop.wait(0.1):
            for one in kept:
                one.look(time.monotonic())
    finally:
        stop_all([one.child for one in kept])
