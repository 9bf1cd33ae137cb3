"""Read request bodies within limits of size, time and memory."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import orjson
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

from hawkvision.errors import (
    BodyTimeout,
    InvalidRequest,
    Overloaded,
    PayloadTooLarge,
    UnsupportedCoding,
)
from hawkvision.serving.http.multipart import boundary_of, split_parts
from hawkvision.serving.inflate import inflating
from hawkvision.serving.peers import Peer

_MULTIPART = "multipart/form-data"
_MAX_JSON = 64 * 1024
_CODINGS = frozenset({"gzip", "x-gzip", "deflate"})
_GRACE_S = 2.0
"""So long a body may take to begin; from then on its least rate counts."""

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What clients may send.

    `max_body` bytes in one request, `max_batch` images in one. A body has `timeout_s` seconds, and
    after the first two must have brought `least_rate` bytes for each second since then.
    """

    max_body: int
    timeout_s: float
    least_rate: float
    max_batch: int

    def due_s(self, received: int) -> float:
        """Seconds after its start by which more of a body must come, with so many bytes here."""
        return min(self.timeout_s, _GRACE_S + received / self.least_rate)


class Budget(Protocol):
    """Bytes that all requests together may hold."""

    @property
    def held(self) -> int:
        """By all of them."""
        ...

    def hold(self, peer: Peer, amount: int, own: int) -> None:
        """So many more, for a request that has `own` already. Raises Overloaded."""
        ...

    def release(self, peer: Peer, amount: int) -> None:
        """Give them back."""
        ...


class Bytes:
    """At most `most` of them, whoever sends them."""

    __slots__ = ("_most", "held")

    def __init__(self, most: int) -> None:
        self._most = most
        self.held = 0

    def hold(self, peer: Peer, amount: int, own: int) -> None:
        """See `Budget`."""
        if self.held + amount > self._most:
            raise Overloaded("too many bytes are being received", hint="Retry later.")
        self.held += amount

    def release(self, peer: Peer, amount: int) -> None:
        """See `Budget`."""
        self.held -= amount


_ANYBODY = Peer("", "")


class Claim:
    """The bytes that one request holds of the budget of all; given back at the end."""

    __slots__ = ("_budget", "_bytes", "_peer")

    def __init__(self, budget: Budget, peer: Peer) -> None:
        self._budget = budget
        self._peer = peer
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def add(self, size: int) -> None:
        """Hold `size` bytes more. Raises Overloaded where they do not fit."""
        self._budget.hold(self._peer, size, self._bytes)
        self._bytes += size

    def release(self) -> None:
        """Give them back; the second time nothing happens."""
        if self._bytes:
            self._budget.release(self._peer, self._bytes)
            self._bytes = 0

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.release()


class BodyReader:
    """Reads the bodies of requests. Only bytes that have arrived count, not those declared."""

    def __init__(self, limits: BodyLimits, budget: Budget) -> None:
        self._limits = limits
        self._budget = budget

    @property
    def held(self) -> int:
        """Bytes of all bodies that are being read or answered."""
        return self._budget.held

    def claim(self, peer: Peer = _ANYBODY) -> Claim:
        """To be held (`with`) as long as the bytes of a body of this peer's are needed."""
        return Claim(self._budget, peer)

    async def images(self, request: web.Request, claim: Claim) -> list[bytes]:
        """The encoded images of a raw or multipart body.

        Raises PayloadTooLarge, Overloaded, BodyTimeout, InvalidRequest, and UnsupportedCoding
        before anything is read.
        """
        coding = _coding(request)
        if coding:
            raise UnsupportedCoding(
                f"images are not read under Content-Encoding {coding[:40]!r}",
                hint="Send the image's bytes as they are: JPEG, PNG and WebP are compressed.",
            )
        body = await self._read(request, self._limits.max_body, claim)
        if request.content_type == _MULTIPART:
            boundary = boundary_of(request.headers["Content-Type"])
            images = split_parts(body, boundary, self._limits.max_batch)
            if not images:
                raise InvalidRequest("the multipart body holds no image")
            return images
        return [_not_empty(body)]

    def image(self, body: bytes, claim: Claim) -> bytes:
        """The encoded image of a raw body that is here already.

        Raises PayloadTooLarge, Overloaded, or InvalidRequest.
        """
        return _not_empty(_held(body, self._limits.max_body, claim))

    @property
    def max_batch(self) -> int:
        """Images in one request."""
        return self._limits.max_batch

    async def tensors(self, request: web.Request, claim: Claim) -> bytes:
        """A body of the Open Inference Protocol, also under gzip or deflate.

        Inflated it is within the same limits, and held beside what was sent. Raises as `images`.
        """
        coding = _checked_coding(request)
        body = await self._read(request, self._limits.max_body, claim)
        return await self._unpacked(body, claim) if coding else body

    async def _unpacked(self, data: bytes, claim: Claim) -> bytes:
        """What gzip or zlib data holds, charged as it comes."""
        parts: list[bytes] = []
        size = 0
        try:
            for part in inflating(data):
                size += len(part)
                if size > self._limits.max_body:
                    raise _too_large(self._limits.max_body)
                claim.add(len(part))
                parts.append(part)
                await asyncio.sleep(0)
            return b"".join(parts)
        finally:
            parts.clear()

    async def json(self, request: web.Request, *, empty: Any = None) -> Any:
        """A JSON body of at most 64 kB, also under gzip or deflate; `empty` stands for no body.

        Raises InvalidRequest for what is no JSON, PayloadTooLarge, Overloaded, BodyTimeout,
        UnsupportedCoding.
        """
        coding = _checked_coding(request)
        with self.claim() as claim:
            data = await self._read(request, _MAX_JSON, claim)
            if not data and empty is not None:
                return empty
            try:
                return orjson.loads(_inflated(data) if coding else data)
            except orjson.JSONDecodeError as error:
                raise InvalidRequest("the body is not JSON", hint="Send a JSON object.") from error

    async def _read(self, request: web.Request, most: int, claim: Claim) -> bytes:
        if (request.content_length or 0) > most:
            raise _too_large(most)
        content = request.content
        try:
            if content.is_eof():  # all here already: nothing to wait for
                return _taken(content, most, claim)
            return await self._received(content, most, claim)
        except TimeoutError:
            raise BodyTimeout(
                f"the body came too slowly: {self._limits.timeout_s:g} s at most, "
                f"{self._limits.least_rate:g} bytes a second at least",
                hint="Send faster, or send a smaller image.",
            ) from None
        except (web.RequestPayloadError, HttpProcessingError) as error:
            raise InvalidRequest(f"the body is malformed: {str(error)[:120]!r}") from error
        except RuntimeError as error:
            if request.transport is None:
                raise ConnectionResetError from error
            raise

    async def _received(self, content: Any, most: int, claim: Claim) -> bytes:
        start = asyncio.get_running_loop().time()
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout_at(start + self._limits.due_s(0)) as patience:
                while chunk := await content.readany():
                    size += len(chunk)
                    if size > most:
                        raise _too_large(most)
                    claim.add(len(chunk))
                    chunks.append(chunk)
                    patience.reschedule(start + self._limits.due_s(size))
            return b"".join(chunks)
        finally:
            chunks.clear()  # a client that goes leaves an error, whose traceback keeps this frame


def _taken(content: StreamReader, most: int, claim: Claim) -> bytes:
    return _held(content.read_nowait(), most, claim)


def _held(body: bytes, most: int, claim: Claim) -> bytes:
    if len(body) > most:
        raise _too_large(most)
    claim.add(len(body))
    return body


def _not_empty(body: bytes) -> bytes:
    if not body:
        raise InvalidRequest(
            "the body is empty", hint="Send the image's bytes, e.g. curl --data-binary @x.jpg."
        )
    return body


def _coding(request: web.Request) -> str:
    """The body's Content-Encoding in small letters, "" for none."""
    coding = request.headers.get("Content-Encoding", "").strip().lower()
    return "" if coding == "identity" else coding


def _checked_coding(request: web.Request) -> str:
    """The body's coding, one that is inflated or none. Raises UnsupportedCoding."""
    coding = _coding(request)
    if coding and coding not in _CODINGS:
        raise UnsupportedCoding(
            f"Content-Encoding {coding[:40]!r} is not read", hint="Send the body as it is."
        )
    return coding


def _inflated(data: bytes) -> bytes:
    """What gzip or zlib data holds; never more than the limit is inflated."""
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        plain = inflater.decompress(data, _MAX_JSON + 1)
    except zlib.error as error:
        raise InvalidRequest(f"the body does not inflate: {error}") from error
    if len(plain) > _MAX_JSON:
        raise _too_large(_MAX_JSON)
    if not inflater.eof:
        raise InvalidRequest("the body does not inflate: it breaks off")
    return plain


def _too_large(most: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"the body has more than {most} bytes",
        hint="Send a smaller or more strongly compressed image.",
    )
