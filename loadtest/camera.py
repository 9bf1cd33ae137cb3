"""A camera in a process of its own: JPEGs come in as lines of hex, answers go out as JSON.

`python -m loadtest.camera URL FPS ASKED`; asyncio and gevent do not share a thread.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from hawkvision.client.lossy import LossyStream
from hawkvision.errors import HawkVisionError


async def film(url: str, fps: float, asked: dict[str, Any]) -> None:
    """Send a frame for each line, no more than `fps` of them per second."""
    loop = asyncio.get_running_loop()
    async with LossyStream.open(url, **asked) as stream:
        due = time.perf_counter()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            image = bytes.fromhex(line)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            start = time.perf_counter()
            due = max(due + 1 / fps, start)
            told: dict[str, Any]
            try:
                found = await stream.classify(image)
                told = {"answer": found.answer.as_dict(), "lost": found.lost_fraction}
            except HawkVisionError as error:
                told = {"error": f"{error.code}: {error.message}"}
            told["ms"] = (time.perf_counter() - start) * 1e3
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()


def main() -> None:
    """Run until standard input ends."""
    url, fps, asked = sys.argv[1:]
    try:
        asyncio.run(film(url, float(fps), json.loads(asked)))
    except HawkVisionError as error:
        sys.exit(f"error: {error}. {error.hint}")


if __name__ == "__main__":
    main()
