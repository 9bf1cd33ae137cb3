"""Threads that stand back for others, setpriority(2)."""

from __future__ import annotations

import os
import threading


def yield_by(nice: int) -> None:
    """Let this thread stand back, where the system knows that of threads (Linux)."""
    if not nice or not hasattr(os, "setpriority") or not os.path.exists("/proc/self/task"):  # noqa: PTH110
        return
    thread = threading.get_native_id()
    try:
        now = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, min(19, now + nice))
    except OSError:  # a sandbox may forbid it: then large jobs take their share
        return
