"""Nothing is read back but what this machine wrote."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hawkvision.engines import caches
from hawkvision.engines.tensorrt import cache as cache_module
from hawkvision.engines.tensorrt.cache import EngineCache
from hawkvision.errors import EngineError

KEY = {"gpu": "Orin", "model": "ab"}


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    path = tmp_path / "machine-id"
    path.write_text("one\n")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def cache(folder: Path, machine: Path) -> EngineCache:
    return EngineCache(folder, machine)


def test_what_was_stored_is_loaded_also_by_the_next_process(
    cache: EngineCache, folder: Path, machine: Path
) -> None:
    cache.store("engine", KEY, b"plan")
    assert EngineCache(folder, machine).load("engine", KEY) == b"plan"
    assert cache.load("engine", {**KEY, "gpu": "Thor"}) is None
    assert cache.load("timings", KEY) is None
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def stored(folder: Path) -> Path:
    (path,) = folder.glob("*.engine")
    return path


@pytest.mark.parametrize("place", [0, 25, 60, -1])
def test_a_changed_byte_is_found(cache: EngineCache, folder: Path, place: int) -> None:
    cache.store("engine", KEY, b"plan" * 10)
    data = bytearray(stored(folder).read_bytes())
    data[place] ^= 1
    stored(folder).write_bytes(bytes(data))
    assert cache.load("engine", KEY) is None


def test_an_engine_under_another_name_is_not_taken_for_it(cache: EngineCache, folder: Path) -> None:
    cache.store("engine", KEY, b"plan")
    other = {**KEY, "model": "cd"}
    shutil.copy(stored(folder), cache._path("engine", other))
    assert cache.load("engine", other) is None


def test_another_machines_file_is_not_loaded(
    cache: EngineCache, folder: Path, tmp_path: Path, machine: Path
) -> None:
    other = EngineCache(tmp_path / "other", machine)
    other.store("engine", KEY, b"plan")
    shutil.copy(stored(tmp_path / "other"), folder)
    assert cache.load("engine", KEY) is None


def test_a_whole_cache_from_another_machine_is_not_loaded(
    cache: EngineCache, folder: Path, machine: Path
) -> None:
    cache.store("engine", KEY, b"plan")
    machine.write_text("two\n")  # the disk's image was restored elsewhere, secret and all
    assert EngineCache(folder, machine).load("engine", KEY) is None


def test_links_and_files_that_others_may_write_are_not_followed(
    cache: EngineCache, folder: Path, tmp_path: Path
) -> None:
    cache.store("engine", KEY, b"plan")
    path = stored(folder)
    path.chmod(0o666)
    assert cache.load("engine", KEY) is None
    path.chmod(0o600)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert cache.load("engine", KEY) is None


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o707])
def test_a_folder_that_is_open_to_others_is_refused(folder: Path, mode: int) -> None:
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(EngineError, match="open to other users"):
        EngineCache(folder)


def test_a_link_in_the_folders_place_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "real")
    with pytest.raises(EngineError, match="is no folder"):
        EngineCache(folder)


def test_a_folder_of_another_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(mode=0o700)
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with pytest.raises(EngineError, match="belongs to user"):
        EngineCache(folder)


def test_a_secret_that_others_can_read_is_refused(folder: Path, machine: Path) -> None:
    EngineCache(folder, machine)
    (folder / "secret").chmod(0o644)
    with pytest.raises(EngineError, match="damaged, or open to others"):
        EngineCache(folder, machine)


def test_a_write_that_fails_leaves_what_was_there(
    cache: EngineCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store("engine", KEY, b"plan")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EngineError, match="No space left"):
        cache.store("engine", KEY, b"another plan")
    assert cache.load("engine", KEY) == b"plan"
    assert [path.name for path in folder.iterdir() if path.name.startswith(".part")] == []


def test_only_so_many_engines_are_kept(
    cache: EngineCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "MOST_ENGINES", 3)
    for number in range(5):
        cache.store("engine", {"number": number}, b"plan")
        path = cache._path("engine", {"number": number})
        os.utime(path, (1e9 + number, 1e9 + number))
        if number == 2:
            assert cache.load("engine", {"number": 0}) == b"plan"  # used just now
    left = [n for n in range(5) if cache.load("engine", {"number": n}) is not None]
    assert left == [0, 3, 4]


def test_one_secret_is_drawn_however_many_begin_at_once(folder: Path, machine: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: EngineCache(folder, machine), range(16)))
    found[0].store("engine", KEY, b"plan")
    assert all(one.load("engine", KEY) == b"plan" for one in found)


def test_a_secret_that_another_process_draws_meanwhile_is_taken(
    folder: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others: list[EngineCache] = []

    def read_just_before(path: Path) -> bytes | None:
        found = caches.read_own(path)
        if not others:
            monkeypatch.setattr(cache_module, "read_own", caches.read_own)
            others.append(EngineCache(folder, machine))
        return found

    monkeypatch.setattr(cache_module, "read_own", read_just_before)
    own = EngineCache(folder, machine)
    others[0].store("engine", KEY, b"plan")
    assert own.load("engine", KEY) == b"plan"
    assert [path.name for path in folder.glob(".*")] == []


def test_a_service_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(EngineError, match="neither XDG_CACHE_HOME nor a home"):
        caches.cache_folder("tensorrt")
