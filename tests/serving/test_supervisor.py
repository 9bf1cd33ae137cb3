"""Forked workers: one that hangs is found out, killed and replaced."""

from __future__ import annotations

import subprocess
import sys

CREW = """
import os, signal, sys, time
from hawkvision.serving.supervisor import supervise

class Crew:
    ends = 0
    async def start(self): pass
    async def close(self): pass
    def descriptors(self): return ()
    def all_ready(self, told): pass
    def started(self, index): print("started", index, flush=True)
    def ended(self, index, cause):
        print("ended", index, cause, flush=True)
        self.ends += 1
    def work(self, index, line, parent):
        line.ready({})
        line.alive()
        if self.ends == 0 and index == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        for _ in range(15):
            time.sleep(0.1)
            line.alive()
        if index == 1:
            os.kill(os.getppid(), signal.SIGTERM)
        signal.pause()

supervise(2, Crew(), silent_s=0.7)
"""


def test_a_worker_that_hangs_is_killed_and_replaced() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CREW], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "ended 1 it hung" in done.stdout
    assert done.stdout.count("started 1") >= 2
    assert "worker 1 hangs: nothing of it for 0.7 s; killed" in done.stderr
