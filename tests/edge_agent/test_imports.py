"""What a serving agent holds in memory for nothing: libraries that only other commands need."""

from __future__ import annotations

import subprocess
import sys

SERVED = """
import sys
import hawkvision.cli.main, edge_agent.command, edge_agent.agent, edge_agent.workers.parent
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_a_served_agent_imports_neither_scipy_nor_rich() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVED], capture_output=True, text=True, timeout=600, check=True
    )
    held = set(done.stdout.split())
    assert {"numpy", "aiohttp", "grpc"} <= held
    assert not held & {"scipy", "rich", "PIL", "matplotlib", "onnx", "unittest"}
