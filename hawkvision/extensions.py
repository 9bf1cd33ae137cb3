"""Every place where others can add to HawkVision: entry-point groups, and how they are looked up.

| group | name | object |
|---|---|---|
| `hawkvision.engines` | of `--engine` | `EngineFactory`: opens a model file |
| `hawkvision.kinds` | `kind` in a task.toml | a class that is a `TaskKind` |
| `hawkvision.stores` | the scheme of `--store` | a function of the URL that gives a `Store` |
| `hawkvision.commands` | the command's | a click command |
| `hawkvision.services` | `edge`, `dc` | how a side is started inside a program |

docs/extending.md shows the smallest example of each.
"""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint, entry_points, requires
from typing import Any

ENGINES = "hawkvision.engines"
KINDS = "hawkvision.kinds"
STORES = "hawkvision.stores"
COMMANDS = "hawkvision.commands"
SERVICES = "hawkvision.services"


def registered(group: str) -> dict[str, EntryPoint]:
    """What is installed of a group, by name; being registered does not mean that it loads."""
    return {entry.name: entry for entry in entry_points(group=group)}


def extra_with(module: str) -> str | None:
    """The extra of HawkVision that installs a module; None where none has a package of that name.

    `dev` holds the others' and is named only where it is the only one.
    """
    package = module.split(".")[0]
    found = []
    for line in requires("hawkvision") or ():
        requirement, _, marker = line.partition(";")
        named = re.match(r"[A-Za-z0-9_.-]+", requirement.strip())
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", marker)
        if named and extra and named[0].replace("-", "_").lower() == package.lower():
            found.append(extra[1])
    return min(found, key=lambda extra: (extra == "dev", extra), default=None)


def load(group: str, name: str) -> Any:
    """The registered object. Raises KeyError if there is none, or what its module raises."""
    return registered(group)[name].load()
