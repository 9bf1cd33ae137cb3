"""How many processes the kernel has ended for want of memory, to tell why one is gone. For Linux.

Sources: proc(5) on /proc/vmstat; the kernel's cgroup-v2.rst on memory.events.
"""

from __future__ import annotations

from pathlib import Path

_VMSTAT = Path("/proc/vmstat")
_CGROUP = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")


def parse_oom_kills(text: str) -> int:
    """The counter `oom_kill` in lines of a name and a number; 0 where there is none."""
    for line in text.splitlines():
        name, _, count = line.partition(" ")
        if name == "oom_kill" and count.strip().isdigit():
            return int(count)
    return 0


def oom_kills() -> int:
    """So far, of the whole system as far as this process sees it; 0 where nothing says so."""
    return max(parse_oom_kills(_read(_VMSTAT)), parse_oom_kills(_read(_events())))


def _events() -> Path:
    for line in _read(_CGROUP).splitlines():
        if line.startswith("0::"):
            return _MOUNT / line[3:].lstrip("/") / "memory.events"
    return _MOUNT / "memory.events"


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError:
        return ""
