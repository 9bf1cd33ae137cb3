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

from importlib.metadata import EntryPoint, entry_points
from typing import Any

ENGINES = "hawkvision.engines"
KINDS = "hawkvision.kinds"
STORES = "hawkvision.stores"
COMMANDS = "hawkvision.commands"
SERVICES = "hawkvision.services"


def registered(group: str) -> dict[str, EntryPoint]:
    """What is installed of a group, by name; being registered does not mean that it loads."""
    return {entry.name: entry for entry in entry_points(group=group)}


def load(group: str, name: str) -> Any:
    """The registered object. Raises KeyError if there is none, or what its module raises."""
    return registered(group)[name].load()
