"""Memory that was freed, back to the system. For glibc; elsewhere nothing is done.

Sources: mallopt(3), mallinfo2(3), malloc_trim(3), madvise(2), proc_pid_smaps(5), proc_pid_statm(5).
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

EVERY_S = 5.0
"""How often it is looked whether there is something to give back, seconds."""

_MUCH = 8 * 1024 * 1024
"""So many bytes more are resident than in use before it is worth while."""

_KEPT_AT_THE_END = 32 * 1024 * 1024
"""So many free bytes lie at the end of each arena, for the next images."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MADV_DONTNEED = 4
_ARENAS = 2
"""Each keeps free pages of its own, which malloc_trim does not give back at the end of any but the
first. A service has few threads, and these allocate seldom."""

_OWN_PAGES = 32 * 1024 * 1024
"""Blocks from this size on are mapped for themselves: new pages cost as much as decoding into them
does, so smaller blocks, images mostly, use pages again."""

_FIELDS = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks"),
    *("uordblks", "fordblks", "keepcost"),
)


class _Mallinfo2(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_size_t) for name in _FIELDS)


class _Glibc:
    """The calls, or an AttributeError where this C library lacks one."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self.trim: Callable[[int], int] = library.malloc_trim
        self.mallopt: Callable[[int, int], int] = library.mallopt
        self.mallinfo: Callable[[], _Mallinfo2] = library.mallinfo2
        self.madvise: Callable[[int, int, int], int] = library.madvise
        library.mallinfo2.restype = _Mallinfo2
        library.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


@cache
def _glibc() -> _Glibc | None:
    try:
        return _Glibc()
    except (OSError, AttributeError, TypeError):
        return None


def keep_together() -> None:
    """Let free memory lie where it can be given back; to be called once, before other threads."""
    glibc = _glibc()
    if glibc is not None:
        glibc.mallopt(_M_ARENA_MAX, _ARENAS)
        glibc.mallopt(_M_MMAP_THRESHOLD, _OWN_PAGES)
        glibc.mallopt(_M_TRIM_THRESHOLD, _KEPT_AT_THE_END)


def give_back() -> None:
    """Return free pages of every arena to the system; a few ms for each 100 MB, in any thread."""
    glibc = _glibc()
    if glibc is not None:
        glibc.trim(0)


def resident_bytes() -> int:
    """Of this process; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def unused_bytes() -> int:
    """Resident bytes that malloc has not given out: free pages, and what malloc never had."""
    glibc = _glibc()
    if glibc is None:
        return 0
    found = glibc.mallinfo()
    return resident_bytes() - int(found.uordblks) - int(found.hblkhd)


def forget_start() -> None:
    """Let go of the code that only the start needed; what is called again comes back page by page.

    Of libraries such as ONNX Runtime that is most. Pages of code are their files' own, unless
    somebody (a debugger) has written to them: those are anonymous, and their mapping stays. Whether
    a page is dirty says nothing: all of a file in tmpfs are, and of one that was just installed.
    """
    glibc = _glibc()
    try:
        maps = Path("/proc/self/smaps").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return
    code: tuple[int, int] | None = None
    for line in maps:
        head, _, rest = line.partition(" ")
        if not head.endswith(":"):  # 7f00-7f10 r-xp 00000000 fe:00 1234 /usr/lib/…
            start, _, end = head.partition("-")
            is_code = rest.startswith("r-xp") and "/" in rest
            code = (int(start, 16), int(end, 16)) if is_code else None
        elif head == "Anonymous:" and code is not None and glibc is not None:
            if rest.split()[0] == "0":
                glibc.madvise(code[0], code[1] - code[0], _MADV_DONTNEED)
            code = None


class GivesBack:
    """Gives memory back when much more is `unused` than was at the least since it last was."""

    def __init__(self, unused: Callable[[], int] = unused_bytes) -> None:
        self._unused = unused
        self._least = unused()

    async def look(self) -> None:
        """To be called every `EVERY_S`; what takes long is done on another thread."""
        unused = self._unused()
        self._least = min(self._least, unused)
        if unused - self._least >= _MUCH:
            gc.collect()  # connections that were sent away are circles; what was loaded is frozen
            await asyncio.to_thread(give_back)
            self._least = self._unused()

    async def keep_looking(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.look()
