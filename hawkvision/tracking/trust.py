"""Whose word a count rests on: an app that showed its key, or anybody.

An app's name can be written by everybody. Where an agent asks for keys, a request that carries its
app's key is counted under the app's name with `+` before it, which no client can ask for; without
a key, or where no keys are asked for, under the plain name. So counts of an agent that knows
nothing of keys are anonymous ones, and the two never mix. What steers thresholds is kept by
*source*: each app with a key is one, all anonymous traffic together is another.
"""

from __future__ import annotations

_MARK = "+"
ANONYMOUS = ""
"""The source of all requests that showed no key; the only one where no keys are asked for."""
ALL_VOUCHED = "+*"
"""All sources with keys together; `*` is no name of an app."""


def vouched(app: str) -> str:
    """The name under which an app is counted whose key was shown; "" is an app too."""
    return _MARK + app


def is_vouched(counted: str) -> bool:
    """Whether a counted name is one of an app whose key was shown."""
    return counted[:1] == _MARK


def name_of(counted: str) -> str:
    """The app's own name."""
    return counted.removeprefix(_MARK)


def source_of(counted: str) -> str:
    """Whose evidence a request is that is counted under this name."""
    return counted if counted[:1] == _MARK else ANONYMOUS
