"""A publisher with its site behind a real HTTP server on loopback, which can be told to cheat."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from hawkvision.repository.task import Task
from hawkvision.updates.client import Limits, UpdateClient
from hawkvision.updates.fetching import Pace
from hawkvision.updates.keys import KeyRing
from hawkvision.updates.publisher import Publisher
from hawkvision.updates.release import Release, Rollout
from hawkvision.updates.site import Site
from tests.models import add_version, build_tiny_repository

PASSPHRASE = b"a passphrase of tests"
PATIENCE = Limits(pace=Pace(connect_s=2, silent_s=1, file_s=5, least_rate=1e6))


def trusted(_task: Task) -> None:
    """What a publisher's check says of a version that is good."""


@dataclass
class Shop:
    """A publisher of the tiny task, version 1 of which lies in `repository`."""

    folder: Path
    days: dict[str, float] = field(default_factory=dict)
    back_s: float = 0.0

    def __post_init__(self) -> None:
        self.repository = build_tiny_repository(self.folder / "workshop")
        self.site = self.folder / "site"
        self.ring = KeyRing(self.folder / "keys", PASSPHRASE)
        self.ring.days |= self.days
        self.publisher = Publisher(Site(self.site), self.ring)
        self.publisher.begin(self.now)

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) - timedelta(seconds=self.back_s)

    @property
    def root(self) -> bytes:
        return (self.site / "metadata" / "1.root.json").read_bytes()

    def release(self, version: str, rollout: Rollout | None = None, **files: bytes) -> Release:
        """Publish a version of the tiny task; `files` replace some of its own, digests and all."""
        folder = self.repository / "tiny" / version
        if not folder.is_dir():
            add_version(self.repository, version)
        for name, content in files.items():
            (folder / name.replace("__", ".")).write_bytes(content)
        return self.show(folder, rollout)

    def show(self, folder: Path, rollout: Rollout | None = None) -> Release:
        """Publish a version's folder as it is."""
        found = self.publisher.add(folder, rollout or Rollout(), self.now, trusted)
        self.publisher.publish(self.now)
        return found

    def file(self, name: str) -> Path:
        """The one published file whose name ends so."""
        return max(self.site.rglob(f"*{name}"), key=lambda path: path.name)


Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


@dataclass
class Cheat:
    """What the server does instead of sending a file: by what its path ends with."""

    answers: dict[str, Answer] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    sent: int = 0


@contextlib.contextmanager
def served(site: Path, cheat: Cheat | None = None) -> Iterator[str]:
    """The address of a server of the site's files."""
    told = cheat or Cheat()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.seen.append(self.path)
            path = site / self.path.lstrip("/")
            found = path.read_bytes() if path.is_file() else b""
            with contextlib.suppress(ConnectionError):
                for end, answer in told.answers.items():
                    if self.path.endswith(end):
                        answer(self, found)
                        return
                whole(self, found, 200 if path.is_file() else 404)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def whole(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def instead(body: bytes) -> Answer:
    return lambda handler, _found: whole(handler, body)


def flipped(handler: BaseHTTPRequestHandler, found: bytes) -> None:
    whole(handler, found[:-2] + bytes([found[-2] ^ 1]) + found[-1:])


def endless(handler: BaseHTTPRequestHandler, found: bytes) -> None:
    """More and more, as fast as it is taken."""
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(found)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        handler.wfile.write(b" " * 65536)


def dripping(handler: BaseHTTPRequestHandler, found: bytes) -> None:
    """A byte now and then, so that no read is ever late."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(found)))
    handler.end_headers()
    for byte in found:
        handler.wfile.write(bytes([byte]))
        time.sleep(0.05)


def elsewhere(url: str) -> Answer:
    """A redirection to another host."""

    def answer(handler: BaseHTTPRequestHandler, _found: bytes) -> None:
        handler.send_response(302)
        handler.send_header("Location", url)
        handler.end_headers()

    return answer


def client_of(shop: Shop, url: str, folder: Path, root: bytes | None = None) -> UpdateClient:
    return UpdateClient(url, shop.root if root is None else root, folder / "state", PATIENCE)


def fetch(client: UpdateClient, into: Path) -> Path:
    """The tiny task's release, fetched and checked as it is."""
    with client.look() as look:
        release = look.release("tiny")
        assert release is not None
        return look.fetch(release, into, trusted)


def copy_of(site: Path, into: Path) -> Path:
    return Path(shutil.copytree(site, into))
