"""Loading beside what serves: once for all who ask, whatever fails, whoever goes away."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from hawkvision.errors import UnknownTask, VersionUnavailable
from hawkvision.serving.catalog import Catalog, Found
from hawkvision.serving.reloading import Hooks, Reloader


@dataclass(eq=False)
class Loaded:
    version: str
    agrees: bool = True
    closed: bool = False

    def close(self) -> None:
        self.closed = True


class Folder:
    """Versions of one task, `t`; each load waits for `go` and is noted."""

    def __init__(self, *versions: str) -> None:
        self.there = list(versions)
        self.loaded: list[str] = []
        self.begun = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def names(self) -> list[str]:
        return ["t"]

    def versions(self, name: str) -> Sequence[Found]:
        return [(version, (version,)) for version in self.there] if name == "t" else []

    def load(self, name: str, version: str) -> Loaded:
        self.begun.set()
        assert self.go.wait(60)
        self.loaded.append(version)
        if version.endswith("x"):
            raise MemoryError
        return Loaded(version)


def serving(
    folder: Folder, version: str, hooks: Hooks[Loaded] | None = None, held_s: float = 60.0
) -> Reloader[Loaded]:
    reloader = Reloader[Loaded](Catalog(held_s=held_s), folder, hooks)
    reloader.begin_with({"t": Loaded(version)})
    return reloader


async def test_many_who_ask_at_once_have_it_loaded_once() -> None:
    folder = Folder("2", "1")
    reloader = serving(folder, "1")
    await asyncio.gather(*(reloader.load("t") for _ in range(5)))
    assert folder.loaded == ["2"] and reloader.catalog.version("t") == "2"
    await reloader.close()


async def test_a_load_goes_on_when_whoever_asked_goes_away() -> None:
    folder = Folder("2", "1")
    reloader = serving(folder, "1")
    folder.go.clear()
    asked = asyncio.create_task(reloader.load("t"))
    await asyncio.to_thread(folder.begun.wait)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert {row.state.value for row in reloader.index()} == {"READY", "LOADING"}
    folder.go.set()
    await reloader.load("t")
    assert folder.loaded == ["2"] and reloader.catalog.version("t") == "2"
    await reloader.close()


async def test_whatever_a_load_raises_what_serves_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    folder = Folder("2x", "1")
    reloader = serving(folder, "1")
    with caplog.at_level(logging.WARNING), pytest.raises(VersionUnavailable, match="MemoryError"):
        await reloader.load("t")
    assert reloader.catalog.version("t") == "1" and reloader.loads == {"ok": 0, "failed": 1}
    assert any("version 1 goes on" in one for one in caplog.messages)
    folder.there.insert(0, "3")  # a newer one is not held up by it
    await reloader.load("t")
    assert reloader.catalog.version("t") == "3"
    with pytest.raises(UnknownTask):
        await reloader.load("other")
    await reloader.close()


async def test_who_knows_of_versions_is_told_in_the_turn_in_which_one_takes_over() -> None:
    told: list[tuple[str | None, str | None]] = []
    prepared: list[str] = []

    def follows(_name: str, old: Loaded | None, new: Loaded | None) -> None:
        told.append((old.version if old else None, new.version if new else None))

    hooks = Hooks[Loaded](lambda value: prepared.append(value.version), follows)
    reloader = serving(Folder("2", "1"), "1", hooks)
    await reloader.load("t")
    await reloader.unload("t")
    assert prepared == ["2"] and told == [("1", "2"), ("2", None)]
    await reloader.close()


async def test_a_version_that_somebody_holds_for_too_long_is_closed() -> None:
    reloader = serving(Folder("2", "1"), "1", held_s=0.0)
    held = reloader.catalog.serving["t"]
    await reloader.load("t")
    async with asyncio.timeout(60):
        while not held.closed:
            await asyncio.sleep(0.01)
    assert not reloader.catalog.serving["t"].closed
    await reloader.close()
