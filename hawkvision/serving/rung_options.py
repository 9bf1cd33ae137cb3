"""What says how many rungs are held, and in how much memory: values that click has no type for."""

from __future__ import annotations

import re

import click

from hawkvision.cascade.cut import AUTO

_SIZE = re.compile(r"(\d{1,9}(?:\.\d{1,6})?) ?(MB|GB|MiB|GiB)")
_MEGABYTES = {"MB": 1.0, "GB": 1000.0, "MiB": 1.048576, "GiB": 1073.741824}
_MOST_RUNGS = 64


def rungs(value: object) -> int | str:
    """A number of rungs, or `auto`. Raises click.BadParameter."""
    text = str(value)
    if text == AUTO:
        return AUTO
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:4]) <= _MOST_RUNGS):
        raise click.BadParameter(f"{text[:40]!r} is neither {AUTO!r} nor 1 to {_MOST_RUNGS}")
    return int(text)


def megabytes(value: object) -> float:
    """A size of memory with its unit, as megabytes (10^6 bytes). Raises click.BadParameter."""
    if isinstance(value, float):
        return value
    found = _SIZE.fullmatch(str(value).strip())
    if found is None:
        raise click.BadParameter(f"{str(value)[:40]!r} is no size such as 200MB or 1.5GB")
    return float(found[1]) * _MEGABYTES[found[2]]
