"""Updates for an agent that was told to take them; whatever they need is imported only then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.config import EdgeConfig
from edge_agent.fleet.fleet import Fleet
from edge_agent.loading import LocalSource
from edge_agent.local import LocalTask
from edge_agent.place import Place
from hawkvision.errors import InvalidRequest
from hawkvision.serving.catalog import Catalog
from hawkvision.serving.reloading import Source

if TYPE_CHECKING:
    from edge_agent.updates.updates import Updates


def updates_of(config: EdgeConfig, place: Place | None) -> Updates | None:
    """None where none are wanted, and for all of several workers but the first.

    Raises InvalidRequest, or RepositoryError where they cannot be kept.
    """
    if config.updates is None and config.updates_root is None:
        return None
    if place is not None and place.index:
        return None
    try:
        from edge_agent.updates.updates import Updates
    except ModuleNotFoundError as error:
        raise InvalidRequest(
            f"--updates needs the module {error.name}, which is not installed",
            hint="pip install 'hawkvision[update]'.",
        ) from error
    return Updates(config, opener(config))


def opener(config: EdgeConfig) -> Callable[[Path, int], LocalTask]:
    """How a version's folder is opened with so many rungs, every digest checked."""

    def opened(folder: Path, rungs: int) -> LocalTask:
        there = replace(config, model_repository=folder.parent.parent)
        return LocalSource(there, {folder.parent.name: rungs}).load(folder.parent.name, folder.name)

    return opened


def catalog_of(updates: Updates | None) -> Catalog[LocalTask]:
    """Where versions that are loaded are kept."""
    return Catalog[LocalTask]() if updates is None else updates.catalog()


def source_of(updates: Updates | None, own: LocalSource) -> Source[LocalTask]:
    """Where versions come from."""
    return own if updates is None else updates.over(own)


def fleet_of(updates: Updates | None) -> type[Fleet]:
    """The part in the fleet: one that trials look at, where there may be some."""
    return Fleet if updates is None else updates.fleet
