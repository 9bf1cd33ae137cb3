from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
import weakref
from pathlib import Path

import orjson
import pytest

from hawkvision.serving import memory

MIB = 1 << 20


async def test_memory_goes_back_once_much_is_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    unused = 100 * MIB
    monkeypatch.setattr(memory, "give_back", lambda: given.append(1))
    gives_back = memory.GivesBack(lambda: unused)
    for step, times in (
        (1, 0),
        (10 * MIB, 1),
        (0, 1),
        (-20 * MIB, 1),
        (4 * MIB, 1),
        (4 * MIB, 2),
    ):
        unused += step
        await gives_back.look()
        assert len(given) == times


def test_it_can_be_called_wherever_we_run() -> None:
    memory.give_back()
    assert memory.unused_bytes() >= 0


def test_code_that_was_let_go_still_runs() -> None:
    before = memory.resident_bytes()
    memory.forget_start()
    kept = memory.resident_bytes()
    assert before == 0 or kept < before
    assert str(ctypes.CDLL(None).getpid)


def _code(library: Path) -> tuple[int, int, int]:
    """Start and end of a library's code in this process, and kB of it that are resident."""
    place = (0, 0)
    for line in Path("/proc/self/smaps").read_text().splitlines():
        head, _, rest = line.partition(" ")
        if not head.endswith(":"):
            start, _, end = head.partition("-")
            is_it = rest.startswith("r-xp") and rest.endswith(str(library))
            place = (int(start, 16), int(end, 16)) if is_it else (0, 0)
        elif head == "Rss:" and place != (0, 0):
            return *place, int(rest.split()[0])
    raise AssertionError(f"{library} has no code here")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_library_that_was_just_written_is_let_go_too(tmp_path: Path) -> None:
    library = tmp_path / "written.so"
    (original,) = Path(orjson.__file__).parent.glob("orjson*.so")
    shutil.copyfile(original, library)  # not on the disk yet: its pages are dirty
    assert ctypes.CDLL(str(library))
    start, end, _ = _code(library)
    ctypes.string_at(start, end - start)
    assert _code(library)[2] * 1024 == end - start
    memory.forget_start()
    assert _code(library)[2] == 0


def _in_a_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


_HOLES = """
import asyncio
from hawkvision.serving import memory
looks = memory.GivesBack()
before = memory.resident_bytes()
blocks = [bytearray(b"x" * 100_000) for _ in range(1500)]
del blocks[::2]
kept = memory.resident_bytes()
assert memory.unused_bytes() >= 60 * 2**20, memory.unused_bytes()
asyncio.run(looks.look())
print(kept - memory.resident_bytes())
"""

_THREADS = """
import asyncio, threading
from hawkvision.serving import memory
memory.keep_together()
looks = memory.GivesBack()
before = memory.resident_bytes()
hold, go = threading.Barrier(9), threading.Event()

def work():
    blocks = [bytearray(b"x" * 1_000_000) for _ in range(12)]
    hold.wait()
    hold.wait()
    del blocks
    hold.wait()
    go.wait()

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
hold.wait()
full = memory.resident_bytes()
hold.wait()
hold.wait()
asyncio.run(looks.look())
print(full - before, memory.resident_bytes() - before)
go.set()
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc 2.33")
def test_holes_between_blocks_in_use_go_back() -> None:
    assert int(_in_a_process(_HOLES)) > 50 * MIB


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc 2.33")
def test_what_threads_have_freed_goes_back() -> None:
    full, after = map(int, _in_a_process(_THREADS).split())
    assert full > 90 * MIB and after < 40 * MIB


async def test_circles_that_hold_memory_are_found_when_it_is_given_back() -> None:
    class Circle:
        def __init__(self) -> None:
            self.me = self

    unused = 100 * MIB
    gives_back = memory.GivesBack(lambda: unused)
    gone = weakref.ref(Circle())
    unused += 10 * MIB
    await gives_back.look()
    assert gone() is None
