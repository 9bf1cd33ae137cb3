"""`hawkvision classify`: images to a running agent, one line each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hawkvision.cascade import parse_accuracy
from hawkvision.cli.asking import key_option
from hawkvision.cli.output import said, write_json
from hawkvision.client import Client
from hawkvision.client.requests import DEFAULT_URL
from hawkvision.contract.errors import error_body
from hawkvision.errors import AgentUnreachable, HawkVisionError


@click.command("classify", context_settings={"show_default": True})
@click.argument(
    "images", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--accuracy", help="Share of answers that must be right, e.g. 0.95.")
@click.option("--url", default=DEFAULT_URL)
@key_option
@click.option("--task", help="Default: the agent's.")
@click.option("--deadline-ms", type=click.FloatRange(min=0, min_open=True))
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the answers.")
def command(
    images: tuple[Path, ...],
    accuracy: str | None,
    url: str,
    key: str | None,
    task: str | None,
    deadline_ms: float | None,
    json_file: Path | None,
) -> None:
    """Classify IMAGES at an accuracy target."""
    if accuracy is not None:
        parse_accuracy(accuracy)
    answers: list[dict[str, Any]] = []
    with Client(url, key=key) as client:
        for path in images:
            try:
                answer = client.classify(
                    path, accuracy=accuracy, task=task, deadline_ms=deadline_ms
                )
            except AgentUnreachable:
                raise
            except HawkVisionError as error:
                click.echo(f"{path}: error: {error}", err=True)
                answers.append({"image": str(path), **error_body(error)})
                continue
            mark = f", degraded: {answer.degraded}" if answer.degraded else ""
            click.echo(
                f"{path}: {said(answer)} ({answer.confidence:.3f}, by {answer.served_by}, "
                f"{answer.timing_ms.get('total', 0.0):.1f} ms{mark})"
            )
            answers.append({"image": str(path), **answer.as_dict()})
    write_json(json_file, {"results": answers})
    if any("error" in answer for answer in answers):
        raise click.exceptions.Exit(1)
