"""What a gateway without an HTTP port holds in memory for nothing."""

from __future__ import annotations

import subprocess
import sys

SERVED = """
import sys
import hawkvision.cli.main, dc_gateway.command, dc_gateway.server
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_a_gateway_imports_aiohttp_only_for_its_http_port() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVED], capture_output=True, text=True, timeout=600, check=True
    )
    held = set(done.stdout.split())
    assert {"numpy", "grpc"} <= held
    assert not held & {"aiohttp", "scipy", "rich", "ray"}
