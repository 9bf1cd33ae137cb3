"""A page in a headless Chromium, measured through the DevTools protocol, without a network.

Tests that need it are skipped where no Chromium is installed.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from tests.processes import HANGS_S

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--remote-debugging-port=0",
)


class Browser:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._calls = 0

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol, and its result. Fails where that is an error."""
        self._calls += 1
        await self._socket.send_json(
            {"id": self._calls, "method": method, "params": parameters},
        )
        while True:
            said = await self._socket.receive_json(timeout=HANGS_S)
            if said.get("id") == self._calls:
                assert "error" not in said, said
                result: dict[str, Any] = said["result"]
                return result

    async def show(self, page: Path, *, width: int, dark: bool = False) -> None:
        """Open a file on a screen of `width` px, and wait until it is drawn."""
        await self.open(page.resolve().as_uri(), width=width, dark=dark)

    async def open(self, url: str, *, width: int, dark: bool = False) -> None:
        """Open an address on a screen of `width` px, and wait until it is loaded."""
        await self.screen(width=width, dark=dark)
        await self.call("Page.navigate", url=url)
        ready = "document.readyState === 'complete' && location.protocol !== 'about:'"
        while not await self.evaluate(ready):
            await asyncio.sleep(0.05)

    async def screen(self, *, width: int, dark: bool = False) -> None:
        """A screen of `width` px, a phone's where that is narrow."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def until(self, expression: str) -> Any:
        """What a JavaScript expression is once it is true."""
        async with asyncio.timeout(HANGS_S):
            while not (found := await self.evaluate(expression)):
                await asyncio.sleep(0.05)
        return found

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, as JSON can say it."""
        said = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    async def pixels(self, left: float, top: float, width: float, height: float) -> Pixels:
        """What is drawn at a place of the page, uint8 BGR [height, width, 3]."""
        clip = {"x": left, "y": top, "width": width, "height": height, "scale": 1}
        said = await self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        encoded = np.frombuffer(base64.b64decode(said["data"]), np.uint8)
        return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)


Pixels = npt.NDArray[np.uint8]


def chromium() -> str:
    """The program; skips the test where there is none."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("chromium is not installed")
    return found


@asynccontextmanager
async def browser(home: Path) -> AsyncIterator[Browser]:
    """A Chromium that keeps its things in the folder `home`."""
    options = [*_OPTIONS, f"--user-data-dir={home}"]
    if os.getuid() == 0:
        options.append("--no-sandbox")  # it refuses root otherwise
    process = subprocess.Popen(
        [chromium(), *options, "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(HANGS_S), aiohttp.ClientSession() as session:
            port = await _port(home / "DevToolsActivePort", process)
            address = await _tab(session, port)
            async with session.ws_connect(address, max_msg_size=0) as socket:
                yield Browser(socket)
    finally:
        process.terminate()
        process.wait(HANGS_S)


async def _port(file: Path, process: subprocess.Popen[bytes]) -> int:
    while True:
        with contextlib.suppress(OSError):
            if lines := file.read_text().split():
                return int(lines[0])
        assert process.poll() is None, "chromium ended"
        await asyncio.sleep(0.05)


async def _tab(session: aiohttp.ClientSession, port: int) -> str:
    while True:
        async with session.get(f"http://127.0.0.1:{port}/json") as reply:
            for tab in await reply.json():
                if tab["type"] == "page":
                    return str(tab["webSocketDebuggerUrl"])
        await asyncio.sleep(0.05)
