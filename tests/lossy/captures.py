"""Datagrams of real clients, kept beside the tests: `python -m tests.lossy.captures` makes them.

A file holds each datagram after its length in two bytes. Two pictures of 96x80 px, plain RTP.
"""

from __future__ import annotations

import shlex
import socket
import struct
import subprocess
import tempfile
from pathlib import Path

from hawkvision.lossy.offer import StreamOffer
from hawkvision.lossy.sender import SenderSettings, StreamSender
from tests.lossy.photos import jpeg

SSRC = 0x01020304
FOLDER = Path(__file__).parent.parent / "data"
CLIENTS = ("gstreamer", "ffmpeg", "hawkvision")


def read(client: str) -> list[bytes]:
    """The datagrams that a client sent."""
    data = (FOLDER / f"{client}.rtp").read_bytes()
    found, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from("!H", data, at)
        found.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    return found


def _write(client: str, datagrams: list[bytes]) -> None:
    data = b"".join(struct.pack("!H", len(one)) + one for one in datagrams)
    (FOLDER / f"{client}.rtp").write_bytes(data)
    print(f"{client}: {len(datagrams)} datagrams, {len(data)} bytes")


def _captured(tool: str, folder: str) -> list[bytes]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.settimeout(1.0)
        port = bound.getsockname()[1]
        offer = StreamOffer("i", "127.0.0.1", port, SSRC, "none", b"", 400, 100, 50, 60, 6)
        line = offer.as_dict()["commands"][f"{tool}_files"].replace("%05d", f"{folder}/%05d")
        subprocess.run(shlex.split(line), check=True, capture_output=True)
        found = []
        try:
            while True:
                found.append(bound.recv(65_536))
        except TimeoutError:
            return found


def main() -> None:
    """Capture all clients anew."""
    with tempfile.TemporaryDirectory() as folder:
        for index in range(2):
            path = Path(folder) / f"{index:05d}.jpg"
            path.write_bytes(jpeg(index, 96, 80, quality=70))
        for tool in ("gstreamer", "ffmpeg"):
            _write(tool, _captured(tool, folder))
    sender = StreamSender(SSRC, SenderSettings(mtu=400, parity=20), None)
    sent = [one for index in range(2) for one in sender.frame(jpeg(index, 96, 80), 9000 * index)]
    _write("hawkvision", [*sent, sender.report(18_000, 1.0e9, goodbye=True)])


if __name__ == "__main__":
    main()
