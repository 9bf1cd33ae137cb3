"""How files are fetched: from one address, in bounded bytes and bounded time."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import urllib3
from tuf.api import exceptions
from tuf.ngclient.fetcher import FetcherInterface

from hawkvision.repository.origin import Origin

_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that the server may take: to connect, to go on, and for a file of any size.

    A file takes `file_s` at most, and one more second for each `least_rate` bytes of it.
    """

    connect_s: float = 10.0
    silent_s: float = 10.0
    file_s: float = 60.0
    least_rate: float = 50_000.0


class BoundedFetcher(FetcherInterface):
    """See tuf's interface. Follows no redirection, asks no proxy, and unpacks nothing."""

    def __init__(
        self,
        origin: Origin,
        scratch: Path,
        pace: Pace,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._origin = origin
        self._scratch = scratch
        self._pace = pace
        self._clock = clock
        self._http = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=pace.connect_s, read=pace.silent_s), retries=False
        )

    def close(self) -> None:
        """Give connections back."""
        self._http.clear()

    @contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """See tuf: a temporary file with what is at `url`, `max_length` bytes at most."""
        due = self._clock() + self._pace.file_s + max_length / self._pace.least_rate
        with tempfile.TemporaryFile(dir=self._scratch) as file:
            come = 0
            for chunk in self.fetch(url):
                come += len(chunk)
                if come > max_length:
                    raise exceptions.DownloadLengthMismatchError(f"more than {max_length} bytes")
                if self._clock() > due:
                    raise exceptions.SlowRetrievalError("it comes too slowly")
                file.write(chunk)
            file.seek(0)
            yield file

    def _fetch(self, url: str) -> Iterator[bytes]:
        if not url.startswith(f"{self._origin.base}/"):
            raise exceptions.DownloadError("another address than the one that was named")
        headers = {**self._origin.headers, "Accept-Encoding": "identity"}
        try:
            reply = self._http.request(
                "GET", url, headers=headers, preload_content=False, redirect=False
            )
        except urllib3.exceptions.TimeoutError as error:
            raise exceptions.SlowRetrievalError("no answer in time") from error
        except urllib3.exceptions.HTTPError as error:
            raise exceptions.DownloadError("the server does not answer") from error
        if reply.status != 200:
            reply.close()
            raise exceptions.DownloadHTTPError(f"status {reply.status}", reply.status)
        return _chunks(reply)


def _chunks(reply: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := reply.read1(_CHUNK, decode_content=False):
            yield chunk
    except urllib3.exceptions.TimeoutError as error:
        raise exceptions.SlowRetrievalError("the server fell silent") from error
    except urllib3.exceptions.HTTPError as error:
        raise exceptions.DownloadError("the server broke off") from error
    finally:
        reply.close()
