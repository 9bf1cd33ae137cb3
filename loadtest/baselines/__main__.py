"""One baseline as a server: `python -m loadtest.baselines switching --ladder DIR …`."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
import uvloop

from hawkvision.errors import HawkVisionError
from hawkvision.repository import Repository, Task, shipped_repository
from loadtest.baselines.ladder import Ladder
from loadtest.baselines.local import Answerer, Ensemble, Switching, names
from loadtest.baselines.remote import Remote
from loadtest.baselines.server import Baseline, start
from loadtest.baselines.triton import TritonSwitching

IDEAS = ("switching", "triton", "resident", "ensemble", "remote")


@click.command()
@click.argument("idea", type=click.Choice(IDEAS))
@click.option("--ladder", "folder", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--only", default="", help="Variants with commas between; by default all.")
@click.option(
    "--budget-mb", type=click.FloatRange(0, min_open=True), help="Of switching and triton."
)
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option(
    "--triton",
    "environment",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Virtual environment with nvidia-pytriton, for triton.",
)
@click.option("--gateway", help="HOST:PORT of remote.")
@click.option(
    "--model-repository",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=shipped_repository(),
    help="Of the gateway, for remote.",
)
@click.option("--host", default="127.0.0.1")
@click.option("--port", type=click.IntRange(0, 65535), default=0)
def main(
    idea: str,
    folder: Path,
    only: str,
    budget_mb: float | None,
    threads: int,
    environment: Path | None,
    gateway: str | None,
    model_repository: Path,
    host: str,
    port: int,
) -> None:
    """Serve until SIGTERM; prints where when it is ready.

    switching: variants loaded and evicted under a budget. triton: the same, in a Triton. resident:
    all of them in memory; with --only one, a single model. ensemble: all answer, averaged. remote:
    the gateway answers.
    """
    if idea in ("switching", "triton") and budget_mb is None:
        raise click.UsageError(f"{idea} needs --budget-mb")
    if idea == "triton" and environment is None:
        raise click.UsageError("triton needs --triton")
    if idea == "remote" and gateway is None:
        raise click.UsageError("remote needs --gateway")
    try:
        ladder = Ladder.read(folder).only(tuple(filter(None, only.split(","))))
        task = Repository(model_repository).open(ladder.task)
        with tempfile.TemporaryDirectory() as written:

            def make() -> Answerer:
                if idea == "remote":
                    return Remote(task, gateway or "")
                if idea == "ensemble":
                    return Ensemble(ladder, threads)
                room = budget_mb or float("inf")
                if environment is not None and idea == "triton":
                    return TritonSwitching(ladder, room, threads, environment, Path(written))
                return Switching(ladder, room, threads)

            uvloop.run(_serve(idea, ladder, task, make, host, port))
    except HawkVisionError as error:
        raise click.ClickException(f"{error}. {error.hint}") from error


async def _serve(
    idea: str,
    ladder: Ladder,
    task: Task,
    make: Callable[[], Answerer],
    host: str,
    port: int,
) -> None:
    answerer = make()
    runner, chosen = await start(Baseline(ladder.task, task.kind, answerer), host, port)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    print(f"{idea} ready on {host}:{chosen} ({names(ladder.variants)})", flush=True)
    await ended.wait()
    await runner.cleanup()
    await answerer.close()


if __name__ == "__main__":
    main()
