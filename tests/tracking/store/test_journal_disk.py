"""A journal whose disk is full, read-only or somebody else's: real ones, and no count is lost."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hawkvision.tracking.store.journal import Journal
from tests.tracking.store.test_journal import batch, drain

NOBODY = 65534


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def numbers(journal: Journal) -> list[str]:
    return sorted((one.batch_id for one in drain(journal)), key=lambda name: int(name[1:]))


def names(count: int) -> list[str]:
    return [f"b{number}" for number in range(count)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """The last byte of a disk is taken."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler


def remount(folder: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)


def test_a_full_disk_costs_no_count_and_comes_back(small_disk: Path) -> None:
    clock = Clock()
    journal = Journal(small_disk / "j.db", clock=clock)
    for number in range(3):
        journal.append(batch(number))
    filler = fill(small_disk)
    for number in range(3, 200):
        journal.append(batch(number))
    assert journal.state == "memory: the disk is full"
    assert len(journal) == 200 and not journal.outlives_us
    for _ in range(3):  # what lies in the file is still delivered, and once
        found = journal.oldest()
        assert found is not None
        journal.remove(found[0])
    assert len(journal) == 197
    filler.unlink()
    clock.now = 60
    journal.append(batch(200))
    assert (journal.state, journal.outlives_us, len(journal)) == ("ok", True, 198)
    journal.close()
    again = Journal(small_disk / "j.db")
    assert numbers(again) == names(201)[3:]
    again.close()


def test_a_disk_that_stays_full_delivers_from_memory(small_disk: Path) -> None:
    fill(small_disk)
    clock = Clock()
    journal = Journal(small_disk / "folder" / "j.db", clock=clock)
    assert journal.state.startswith("memory: ")
    for number in range(50):
        journal.append(batch(number))
        clock.now += 10
    assert numbers(journal) == names(50)
    assert journal.dropped == 0
    journal.close()


def test_memory_is_bounded_too(small_disk: Path) -> None:
    fill(small_disk)
    journal = Journal(small_disk / "j.db", max_bytes=2000)
    for number in range(300):
        journal.append(batch(number))
    assert len(journal) < 40
    assert sum(sum(one.counts[key].values()) for one in drain(journal) for key in one.counts) == 300
    journal.close()


def test_a_disk_that_turns_read_only_comes_back(small_disk: Path) -> None:
    clock = Clock()
    (small_disk / "sub").mkdir()
    remount(small_disk, "ro")
    journal = Journal(small_disk / "sub" / "j.db", clock=clock)
    for number in range(5):
        journal.append(batch(number))
    assert journal.state.startswith("memory: it cannot be ")
    remount(small_disk, "rw")
    clock.now = 60
    journal.append(batch(5))
    assert (journal.state, journal.outlives_us) == ("ok", True)
    assert numbers(journal) == names(6)
    journal.close()


def test_another_disk_in_its_place_is_taken(small_disk: Path) -> None:
    clock = Clock()
    journal = Journal(small_disk / "j.db", clock=clock)
    journal.append(batch(0))
    for part in small_disk.glob("j.db*"):
        part.unlink()
    journal.append(batch(1))
    clock.now = 60
    journal.append(batch(2))
    found = numbers(journal)
    assert found[-1] == "b2" and len(journal) == 0
    journal.close()


def in_child(work: Callable[[], None], *, nobody: bool = False) -> None:
    """Run where limits and rights can be given up; with `nobody`, as a user without any."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if nobody and os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may look into."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_folder_that_cannot_be_written_is_no_reason_not_to_start(open_folder: Path) -> None:
    open_folder.chmod(0o555)

    def work() -> None:
        for path in (open_folder / "j.db", open_folder / "sub" / "j.db"):
            journal = Journal(path)
            journal.append(batch(0))
            assert journal.state.startswith("memory: it cannot be ")
            assert drain(journal) == [batch(0)]

    in_child(work, nobody=True)


@pytest.mark.parametrize("mode", [0o444, 0o000])
def test_a_file_that_cannot_be_written_is_left_as_it_is(open_folder: Path, mode: int) -> None:
    path = open_folder / "j.db"
    journal = Journal(path)
    journal.append(batch(7))
    journal.close()
    path.chmod(mode)
    open_folder.chmod(0o777)
    before = path.read_bytes() if os.geteuid() == 0 else b""

    def work() -> None:
        found = Journal(path)
        found.append(batch(0))
        assert found.state.startswith("memory: it cannot be ")
        assert drain(found) == [batch(0)]

    in_child(work, nobody=True)
    assert not list(open_folder.glob("*.damaged*"))
    assert os.geteuid() != 0 or path.read_bytes() == before
    path.chmod(0o644)
    again = Journal(path)
    assert drain(again) == [batch(7)]
    again.close()


def test_a_file_that_may_grow_no_more_costs_no_count(tmp_path: Path) -> None:
    """The limit on a file's size fails as a disk does, without any rights."""

    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        journal = Journal(tmp_path / "j.db")
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
        for number in range(400):
            journal.append(batch(number))
        assert journal.state.startswith("memory: the disk ")
        assert numbers(journal) == names(400)

    in_child(work)


def test_closing_a_journal_whose_disk_is_gone_does_not_raise(small_disk: Path) -> None:
    journal = Journal(small_disk / "j.db")
    journal.append(batch(0))
    fill(small_disk)
    journal.append(batch(1))
    journal.close()
    journal.close()


def test_a_held_file_is_told_apart_from_a_damaged_one(tmp_path: Path) -> None:
    """By the code: the words of this name say `locked` and `malformed` both."""
    path = tmp_path / "database is locked, disk image is malformed.db"
    path.write_bytes(b"no database" * 1000)
    journal = Journal(path)
    assert journal.state == "ok"
    script = "import sys; from pathlib import Path\n"
    script += "from hawkvision.tracking.store.journal import Journal\n"
    script += "from hawkvision.errors import StoreUnavailable\n"
    script += "try: Journal(Path(sys.argv[1]))\nexcept StoreUnavailable: sys.exit(3)\n"
    words = [sys.executable, "-c", script, str(path)]
    assert subprocess.run(words, check=False, timeout=60).returncode == 3
    journal.close()
