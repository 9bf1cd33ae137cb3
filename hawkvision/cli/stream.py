"""`hawkvision stream`: images over a lossy stream, or a stream for a camera to send into."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from hawkvision.cascade import parse_accuracy
from hawkvision.cli.asking import key_option
from hawkvision.cli.output import said, screen, write_json
from hawkvision.client.async_client import AsyncClient
from hawkvision.client.lossy import LossyStream, Sending, StreamAnswer
from hawkvision.client.requests import DEFAULT_URL
from hawkvision.contract.answer import Answer
from hawkvision.contract.errors import error_body
from hawkvision.contract.stream import Advice, StreamEnd, StreamEvent, StreamStatus
from hawkvision.errors import AgentUnreachable, HawkVisionError
from hawkvision.lossy.offer import StreamOffer, StreamRequest, commands, request_body
from hawkvision.lossy.wire.rtpjpeg import PAYLOAD_TYPE
from hawkvision.lossy.wire.srtp import DEFAULT_SUITE, PLAIN, SUITES


@dataclass(frozen=True, slots=True)
class Sent:
    """One image of `stream send`: its answer and how long that took, or the error."""

    image: Path
    found: StreamAnswer | HawkVisionError
    round_trip_ms: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        if isinstance(self.found, HawkVisionError):
            return {"image": str(self.image), **error_body(self.found)}
        answer = self.found.answer
        return {
            "image": str(self.image),
            "label": said(answer),
            "confidence": answer.confidence,
            "served_by": answer.served_by,
            "degraded": answer.degraded,
            "certified": answer.certified,
            "lost_fraction": self.found.lost_fraction,
            "resent": self.found.resent,
            "round_trip_ms": round(self.round_trip_ms, 3),
        }


_suite = click.option(
    "--suite",
    type=click.Choice([*SUITES, PLAIN]),
    default=DEFAULT_SUITE,
    help="SRTP suite; none on this machine only.",
)


@click.group("stream")
def command() -> None:
    """Images over links that lose packets: what arrives by the deadline is answered."""


@command.command("send", context_settings={"show_default": True})
@click.argument(
    "images", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--accuracy", help="Share of answers that must be right, e.g. 0.9.")
@click.option("--url", default=DEFAULT_URL)
@key_option
@click.option("--task", help="Default: the agent's.")
@click.option("--fps", type=click.FloatRange(0.01, 1000), default=10.0, help="Images per second.")
@click.option("--repeat", type=click.IntRange(1), default=1, help="Rounds through the images.")
@click.option("--deadline-ms", type=click.FloatRange(5, 60_000), default=100.0)
@click.option("--rate-mbps", type=click.FloatRange(0.1, 10_000), default=20.0, help="Pace.")
@click.option("--mtu", type=click.IntRange(256, 9000), default=1200, help="Bytes of a datagram.")
@click.option(
    "--parity", default="auto", help="Parity packets in a hundred; auto follows the loss."
)
@click.option("--resend/--no-resend", default=False, help="Send badly damaged images over HTTP.")
@_suite
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the answers.")
def send(
    images: tuple[Path, ...],
    accuracy: str | None,
    url: str,
    key: str | None,
    task: str | None,
    fps: float,
    repeat: int,
    deadline_ms: float,
    rate_mbps: float,
    mtu: int,
    parity: str,
    resend: bool,
    suite: str,
    json_file: Path | None,
) -> None:
    """Send IMAGES at a steady rate and print one line each."""
    if accuracy is not None:
        parse_accuracy(accuracy)
    sending = Sending(rate_bps=rate_mbps * 1e6, parity=_parity(parity))
    asked = {
        "accuracy": accuracy,
        "task": task,
        "deadline_ms": deadline_ms,
        "mtu": mtu,
        "resend": resend,
        "suite": suite,
    }
    results, status = asyncio.run(_send_all(url, key, list(images) * repeat, fps, sending, asked))
    frames, packets = status.frames, status.packets
    click.echo(
        f"{frames.answered} answered ({frames.damaged} of damaged images), "
        f"{packets.lost} packets lost, {packets.recovered} recovered by parity"
    )
    body = {"results": [one.as_dict() for one in results], "stream": status.as_dict()}
    write_json(json_file, body)
    if any(isinstance(one.found, HawkVisionError) for one in results):
        raise click.exceptions.Exit(1)


def _parity(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise click.BadParameter("auto, or a number from 0 to 100", param_hint="--parity")
    return value


async def _send_all(
    url: str,
    key: str | None,
    paths: Sequence[Path],
    fps: float,
    sending: Sending,
    asked: dict[str, Any],
) -> tuple[list[Sent], StreamStatus]:
    async with LossyStream.open(url, key=key, sending=sending, **asked) as stream:
        start = time.monotonic()
        jobs = []
        for index, path in enumerate(paths):
            await asyncio.sleep(max(0.0, start + index / fps - time.monotonic()))
            jobs.append(asyncio.create_task(_send_one(stream, path)))
        results = [await job for job in jobs]
        return results, await stream.status()


async def _send_one(stream: LossyStream, path: Path) -> Sent:
    start = time.perf_counter()
    try:
        found = await stream.classify(await asyncio.to_thread(path.read_bytes))
    except AgentUnreachable:
        raise
    except HawkVisionError as error:
        click.echo(f"{path}: error: {error}", err=True)
        return Sent(path, error)
    spent_ms = (time.perf_counter() - start) * 1e3
    click.echo(f"{path}: {_line(found.answer, spent_ms, found.lost_fraction, resent=found.resent)}")
    return Sent(path, found, spent_ms)


def _line(answer: Answer, spent_ms: float, lost_fraction: float, *, resent: bool = False) -> str:
    marks = [f"{answer.confidence:.3f}", f"by {answer.served_by}", f"{spent_ms:.1f} ms"]
    if lost_fraction:
        marks.append(f"{lost_fraction:.0%} lost")
    if resent:
        marks.append("sent again over HTTP")
    if answer.degraded:
        marks.append(f"degraded: {answer.degraded}")
    return f"{said(answer)} ({', '.join(marks)})"


@command.command("open", context_settings={"show_default": True})
@click.option("--accuracy", help="Share of answers that must be right, e.g. 0.9.")
@click.option("--url", default=DEFAULT_URL)
@key_option
@click.option("--task", help="Default: the agent's.")
@click.option("--deadline-ms", type=click.FloatRange(5, 60_000), default=100.0)
@click.option("--size", default="640x480", help="Of the camera's images, WIDTHxHEIGHT.")
@_suite
def open_stream(
    accuracy: str | None,
    url: str,
    key: str | None,
    task: str | None,
    deadline_ms: float,
    size: str,
    suite: str,
) -> None:
    """Open a stream for a camera, print what to run there, and follow the answers."""
    try:
        width, height = (int(part) for part in size.split("x"))
    except ValueError as error:
        raise click.BadParameter("WIDTHxHEIGHT, e.g. 640x480", param_hint="--size") from error
    asked = StreamRequest(
        accuracy=accuracy,
        task=task,
        deadline_ms=deadline_ms,
        width=width,
        height=height,
        suite=suite,
        replies=False,
    )
    try:
        asyncio.run(_follow(url, key, asked))
    except KeyboardInterrupt:
        click.echo("closed")


async def _follow(url: str, key: str | None, asked: StreamRequest) -> None:
    async with AsyncClient(url, key=key) as client:
        offer = await client.open_stream(request_body(asked))
        screen().print(_opened(offer))
        if offer.warning:
            click.echo(f"warning: {offer.warning}", err=True)
        for name, line in commands(offer).items():
            click.echo(f"\n{name}:\n{line}")
        click.echo("\nwaiting for images; Ctrl-C closes the stream")
        try:
            async for event in client.stream_events(offer.id, after=0):
                click.echo(_told(event))
        finally:
            await client.close_stream(offer.id)


def _opened(offer: StreamOffer) -> Table:
    table = Table("", "", title=f"stream {offer.id}", show_header=False)
    table.add_row("address", f"{offer.host}:{offer.port} (UDP)")
    table.add_row("SSRC, payload type", f"{offer.ssrc}, {PAYLOAD_TYPE} (RTP/JPEG)")
    table.add_row("security", offer.suite)
    table.add_row("restart interval", f"at most {offer.interval_mcus} MCUs where possible")
    return table


def _told(event: StreamEvent) -> str:
    """An event in one line."""
    if isinstance(event, Advice):
        return f"advice ({event.code}): {event.message}"
    if isinstance(event, StreamEnd):
        return f"end: {event.reason}"
    frame, answer = event.frame, event.answer
    if isinstance(answer, HawkVisionError):
        return f"{frame.timestamp}: error: {answer.message}"
    spent_ms = answer.timing_ms.get("total", 0.0)
    return f"{frame.timestamp}: {_line(answer, spent_ms, frame.lost_fraction)}"
