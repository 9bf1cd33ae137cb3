"""`--config FILE.toml`: the defaults of a command's other options, under the options' own names."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

import click


def read_config(context: click.Context, _parameter: click.Parameter, path: Path | None) -> None:
    """A click callback that lets a TOML file give defaults. Raises click.BadParameter.

    Keys are the options' names (`max-queue`), with dashes or underscores. Of an option that may be
    given several times (`--task`) the plural is taken too, and one value need not be a list.
    """
    if path is None:
        return
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{path}: {error}") from error
    options = _options(context.command)
    defaults: dict[str, Any] = {}
    for key, value in values.items():
        option = options.get(key.replace("_", "-"))
        if option is None:
            raise click.BadParameter(f"{path}: unknown setting {key!r}{_nearest(key, options)}")
        if option.name in defaults:
            raise click.BadParameter(f"{path}: {key!r} is given twice")
        defaults[str(option.name)] = _checked(context, option, key, value, path)
    context.default_map = defaults


def _options(command: click.Command) -> dict[str, click.Option]:
    """Options by every name under which a file may set them."""
    found: dict[str, click.Option] = {}
    for parameter in command.params:
        if not isinstance(parameter, click.Option) or parameter.name in ("config", "help"):
            continue
        for spelling in parameter.opts:
            name = spelling.lstrip("-")
            found[name] = parameter
            if parameter.multiple:
                found[f"{name}s"] = parameter
    return found


def _nearest(key: str, options: dict[str, click.Option]) -> str:
    close = difflib.get_close_matches(key.replace("_", "-"), options, n=1)
    return f"; is {close[0]!r} meant?" if close else ""


def _checked(context: click.Context, option: click.Option, key: str, value: Any, path: Path) -> Any:
    if option.multiple and not isinstance(value, list):
        value = [value]
    if not option.multiple and isinstance(value, list | dict):
        raise click.BadParameter(f"{path}: {key} takes one value, not {value!r}")
    if option.is_flag and not isinstance(value, bool):
        raise click.BadParameter(f"{path}: {key} is true or false, not {value!r}")
    try:
        option.type_cast_value(context, value)
    except click.BadParameter as error:
        raise click.BadParameter(f"{path}: {key}: {error.message}") from error
    return value
