"""`hawkvision keys`: make, list and revoke the API keys of an agent."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from hawkvision.cli.output import screen
from hawkvision.errors import HawkVisionError, InvalidRequest
from hawkvision.serving.access.files import changing, read_keys, store_keys
from hawkvision.serving.access.keyfile import (
    EVERY_APP,
    Key,
    KeyFile,
    digest_of,
    new_key,
    parse_keys,
    write_keys,
)
from hawkvision.serving.access.rate import Rate
from hawkvision.serving.access.scopes import GRANTED, WITHOUT_A_KEY, Scope

_DAY_S = 86_400.0


@click.group("keys")
def command() -> None:
    """API keys of an agent: what `hawkvision edge --keys FILE` asks for.

    The file holds hashes, never keys. A running agent takes over what has changed within a second
    or two.
    """


def _file(function: Callable[..., Any]) -> Callable[..., Any]:
    option = click.option(
        "--file",
        "path",
        type=click.Path(dir_okay=False, path_type=Path),
        default=Path("keys.toml"),
        show_default=True,
    )
    return option(function)


@command.command("create", context_settings={"show_default": True})
@click.argument("name")
@_file
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([str(one) for one in GRANTED]),
    help="What the key is good for; once for each.",
)
@click.option("--app", "apps", multiple=True, default=(EVERY_APP,), help="Whose it is; *: every.")
@click.option("--rate", type=click.FloatRange(0.001, 1e6), show_default="none", help="Requests/s.")
@click.option(
    "--burst", type=click.FloatRange(1, 1e6), show_default="one second's", help="At once, more."
)
@click.option("--days", type=click.FloatRange(0, 36_500, min_open=True), help="Until it expires.")
def create(
    name: str,
    path: Path,
    scopes: tuple[str, ...],
    apps: tuple[str, ...],
    rate: float | None,
    burst: float | None,
    days: float | None,
) -> None:
    """Make a key and print it: this once, it is kept nowhere.

    NAME is its id, which logs and answers show.
    """
    if rate is None and burst is not None:
        raise click.UsageError("--burst goes with --rate")
    text, now = new_key(), time.time()
    key = Key(
        id=name,
        digest=digest_of(text),
        scopes=frozenset(Scope(one) for one in scopes),
        apps=None if apps == (EVERY_APP,) else frozenset(apps),
        rate=None if rate is None else Rate(rate, max(1.0, rate) if burst is None else burst),
        expires_s=None if days is None else float(int(now + days * _DAY_S)),
        created_s=float(int(now)),
    )
    with changing(path):
        found = read_keys(path) if path.exists() else KeyFile()
        if any(one.id == name for one in found.keys):
            raise InvalidRequest(
                f"{path} has a key {name!r} already", hint="Choose another name, or revoke it."
            )
        _store(path, replace(found, keys=(*found.keys, key)))
    click.echo(text)
    click.echo(f"{path}: key {name!r}; this is the only time that it is shown", err=True)


@command.command("list")
@_file
def show(path: Path) -> None:
    """List the keys: what each is good for, never the key itself."""
    found = read_keys(path)
    table = Table("key", "scopes", "apps", "requests/s", "expires", "state")
    now = time.time()
    for one in found.keys:
        table.add_row(
            one.id,
            ", ".join(sorted(one.scopes)),
            EVERY_APP if one.apps is None else ", ".join(sorted(one.apps)),
            _rate(one.rate),
            "never" if one.expires_s is None else _day(one.expires_s),
            (one.refusal(now) or "in force").removeprefix("is ").removeprefix("has "),
        )
    if found.anonymous:
        scopes = ", ".join(sorted(found.anonymous))
        table.add_row("(without a key)", scopes, "", _rate(found.anonymous_rate), "never", "")
    screen().print(table)


@command.command("revoke")
@click.argument("name")
@_file
@click.option("--forget", is_flag=True, help="Take the entry out of the file altogether.")
def revoke(name: str, path: Path, forget: bool) -> None:
    """Let a key open nothing any more."""
    with changing(path):
        found = read_keys(path)
        if all(one.id != name for one in found.keys):
            raise InvalidRequest(f"{path} has no key {name!r}", hint="`hawkvision keys list`.")
        if forget:
            kept = tuple(one for one in found.keys if one.id != name)
        else:
            kept = tuple(
                replace(one, disabled=True) if one.id == name else one for one in found.keys
            )
        _store(path, replace(found, keys=kept))
    click.echo(f"{path}: key {name!r} is {'forgotten' if forget else 'revoked'}", err=True)


@command.command("anonymous")
@_file
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(sorted(str(one) for one in WITHOUT_A_KEY)),
    help="Once for each; none at all: whoever has no key may do nothing.",
)
@click.option("--rate", type=click.FloatRange(0.001, 1e6), help="Requests/s of all together.")
def anonymous(path: Path, scopes: tuple[str, ...], rate: float | None) -> None:
    """Say what requests without a key may do."""
    with changing(path):
        found = read_keys(path) if path.exists() else KeyFile()
        allowed = frozenset(Scope(one) for one in scopes)
        limit = None if rate is None or not allowed else Rate(rate, max(1.0, rate))
        _store(path, replace(found, anonymous=allowed, anonymous_rate=limit))


def _store(path: Path, found: KeyFile) -> None:
    """Only what can be read again is written. Raises HawkVisionError."""
    try:
        parse_keys(write_keys(found))
    except HawkVisionError as error:
        raise InvalidRequest(error.message.partition(": ")[2], hint="See --help.") from error
    store_keys(path, found)


def _rate(rate: Rate | None) -> str:
    return "" if rate is None else f"{rate.per_s:g} ({rate.burst:g} at once)"


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
