"""`hawkvision updates`: publish versions of tasks under signatures, and fetch what is published."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from hawkvision.cli.output import write_json
from hawkvision.engines import flavour_of
from hawkvision.errors import HawkVisionError, RepositoryError
from hawkvision.repository import updatable
from hawkvision.repository.task import Task
from hawkvision.updates.checks import computes_as_certified
from hawkvision.updates.client import UpdateClient
from hawkvision.updates.keys import DAYS, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, KeyRing
from hawkvision.updates.publisher import Publisher
from hawkvision.updates.release import Rollout, Wave
from hawkvision.updates.site import Site
from hawkvision.updates.taking import is_newer, newest_here

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_WAVE = re.compile(r"(\d{1,3}(?:\.\d{1,9})?)(%?)(?::(\d{1,9}(?:\.\d{1,9})?)([smhd]?))?")
_LEAST_PASSPHRASE = 8

F = TypeVar("F", bound=Callable[..., Any])

_folder = click.Path(file_okay=False, path_type=Path)
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("updates")
def command() -> None:
    """Publish new versions of tasks under signatures, and fetch what is published."""


def _publishing(function: F) -> F:
    """SITE, --keys and --passphrase-file."""
    for option in (
        click.option(
            "--passphrase-file", type=_file, help="Opens the keys.", show_default="it is asked for"
        ),
        click.option("--keys", type=_folder, required=True, help="Folder of the publisher's keys."),
        click.argument("site", type=_folder),
    ):
        function = option(function)
    return function


def _passphrase(file: Path | None, *, new: bool = False) -> bytes:
    if file is not None:
        found = file.read_text("utf-8").strip()
    else:
        found = click.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True)
    if len(found) < _LEAST_PASSPHRASE:
        raise RepositoryError(f"a passphrase has at least {_LEAST_PASSPHRASE} characters")
    return str(found).encode()


def _publisher(site: Path, keys: Path, passphrase_file: Path | None) -> Publisher:
    return Publisher(Site(site), KeyRing.open(keys, _passphrase(passphrase_file)))


def _now() -> datetime:
    return datetime.now(UTC)


@command.command("init", context_settings={"show_default": True})
@_publishing
@click.option("--root-keys", default=2, type=click.IntRange(1, 32))
@click.option("--threshold", default=2, type=click.IntRange(1, 32), help="Root keys that sign.")
@click.option("--root-days", default=DAYS[ROOT], type=click.FloatRange(0.001, 3660))
@click.option("--targets-days", default=DAYS[TARGETS], type=click.FloatRange(0.001, 3660))
@click.option("--snapshot-days", default=DAYS[SNAPSHOT], type=click.FloatRange(0.001, 366))
@click.option("--timestamp-days", default=DAYS[TIMESTAMP], type=click.FloatRange(0.0001, 366))
def init(
    site: Path,
    keys: Path,
    passphrase_file: Path | None,
    root_keys: int,
    threshold: int,
    **days: float,
) -> None:
    """Make keys in --keys, and an empty SITE that they have signed.

    The options with -days say how long each signature is good.
    """
    if (keys / "keys.json").exists():
        raise RepositoryError(f"{keys} holds keys already")
    ring = KeyRing(keys, _passphrase(passphrase_file, new=True))
    ring.days |= {name.removesuffix("_days"): value for name, value in days.items()}
    Publisher(Site(site), ring).begin(_now(), root_keys=root_keys, threshold=threshold)
    click.echo(f"keys are in {keys}: take the files root-*.pem to a place that is offline")
    click.echo(f"agents are given {site / 'metadata' / 'root.json'} (--updates-root)")


def wave(text: str) -> Wave:
    """`5%:2h` or `0.05:2h`: a share of the agents, and how long the wave lasts at least.

    Raises click.BadParameter.
    """
    found = _WAVE.fullmatch(text.strip())
    if found is None:
        raise click.BadParameter(f"{text[:40]!r} is no wave such as 5%:2h")
    share = float(found[1]) / (100 if found[2] else 1)
    return Wave(share, float(found[3] or 0) * _SECONDS[found[4] or ""])


@command.command("add")
@_publishing
@click.argument(
    "versions",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option("--wave", "waves", multiple=True, help="SHARE[:TIME], e.g. 5%:2h; the last is 100%.")
@click.option("--rollout", "rollout_file", type=_file, help="TOML with the other settings.")
@click.option("--engine", default="onnx", show_default=True, help="Runs the reference images.")
def add(
    site: Path,
    keys: Path,
    passphrase_file: Path | None,
    versions: tuple[Path, ...],
    waves: tuple[str, ...],
    rollout_file: Path | None,
    engine: str,
) -> None:
    """Check each version's folder TASK/VERSION and sign it; `publish` shows it."""
    raw = tomllib.loads(rollout_file.read_text("utf-8")) if rollout_file is not None else {}
    if waves:
        found = [wave(text) for text in waves]
        raw["waves"] = [{"share": one.share, "at_least_s": one.at_least_s} for one in found]
    rollout = Rollout.parse(raw)
    publisher = _publisher(site, keys, passphrase_file)
    for folder in versions:
        checked = partial(computes_as_certified, engine=engine)
        release = publisher.add(folder.resolve(), rollout, _now(), checked)
        click.echo(
            f"{release.task} version {release.version}: {len(release.files)} files, "
            f"{release.size / 1000:,.0f} kB, signed; {_told(rollout)}"
        )
    click.echo("not shown yet: hawkvision updates publish")


def _told(rollout: Rollout) -> str:
    shares = ", ".join(f"{one.share:.4g} for {one.at_least_s:g} s" for one in rollout.waves)
    return f"waves: {shares}"


@command.command("publish")
@_publishing
def publish(site: Path, keys: Path, passphrase_file: Path | None) -> None:
    """Show what was added, and say that it is the newest. Run it before the timestamp expires."""
    version = _publisher(site, keys, passphrase_file).publish(_now())
    timestamp = Site(site).metadata(TIMESTAMP).signed
    click.echo(f"snapshot {version} is published; good until {timestamp.expires.isoformat()}")


@command.command("rotate")
@_publishing
@click.argument("role")
def rotate(site: Path, keys: Path, passphrase_file: Path | None, role: str) -> None:
    """Give ROLE new keys: root, targets, snapshot, timestamp, or task-NAME.

    Root keys sign this, for a task those of targets. Agents follow by themselves.
    """
    path = _publisher(site, keys, passphrase_file).rotate(role, _now())
    click.echo(f"{role} has new keys, by {path}")


def _fetching(function: F) -> F:
    """URL, --updates-root, --model-repository, --task and --json."""
    for option in (
        click.option("--json", "json_file", type=click.Path(path_type=Path)),
        click.option("--task", "tasks", multiple=True, help="Only these.", show_default="all"),
        click.option(
            "--model-repository",
            "repository",
            type=_folder,
            required=True,
            help="Where versions, and what was seen of URL, are kept.",
        ),
        click.option("--updates-root", "root", type=_file, required=True, help="Whom to trust."),
        click.argument("url"),
    ):
        function = option(function)
    return function


def _client(url: str, root: Path, repository: Path) -> UpdateClient:
    return UpdateClient(url, root.read_bytes(), updatable(repository) / ".updates" / "cli")


@command.command("check", context_settings={"show_default": True})
@_fetching
def check(
    url: str, root: Path, repository: Path, tasks: tuple[str, ...], json_file: Path | None
) -> None:
    """What is released at URL, and whether it is newer than what is here."""
    rows = []
    with _client(url, root, repository).look() as look:
        for task in tasks or look.tasks():
            release = look.release(task)
            if release is None:
                raise RepositoryError(f"no release of task {task[:80]!r} at this address")
            here = newest_here(repository, task)
            state = "new" if is_newer(release, here) else "here"
            click.echo(f"{task} version {release.version}: {state}; {_told(release.rollout)}")
            rows.append({"task": task, "version": release.version, "here": here, "state": state})
    write_json(json_file, {"releases": rows})


@command.command("pull", context_settings={"show_default": True})
@_fetching
@click.option("--engine", default="onnx", help="Must answer the reference images as certified.")
def pull(
    url: str,
    root: Path,
    repository: Path,
    tasks: tuple[str, ...],
    json_file: Path | None,
    engine: str,
) -> None:
    """Fetch what is released at URL into the model repository, whole and checked or not at all.

    Waves are for agents: this takes the version at once.
    """
    client = _client(url, root, repository)
    repository.mkdir(parents=True, exist_ok=True)
    rows, faults = [], []
    with client.look() as look:
        for task in tasks or look.tasks():
            try:
                release = look.release(task)
                if release is None:
                    raise RepositoryError(f"no release of task {task[:80]!r} at this address")
                here = newest_here(repository, task)
                if not is_newer(release, here):
                    state = "already here" if release.version == here else f"older than {here}"
                else:
                    have = repository / task / here if here else None

                    def checked(found: Task) -> None:
                        computes_as_certified(found.as_flavour(flavour_of(engine)), engine)

                    folder = look.fetch(release, repository, checked, have=have)
                    state = f"fetched ({folder})"
            except HawkVisionError as error:
                faults.append(error)
                click.echo(f"{task}: refused: {error}", err=True)
                continue
            click.echo(f"{task} version {release.version}: {state}")
            rows.append({"task": task, "version": release.version, "state": state})
    write_json(json_file, {"pulled": rows})
    if faults:
        raise faults[0]
