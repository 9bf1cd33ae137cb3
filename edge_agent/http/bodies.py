"""Read request bodies within limits of size, time and memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import BodyPartReader, web

from hawkvision.errors import HawkVisionError, InvalidRequest, Overloaded, PayloadTooLarge

_MULTIPART = "multipart/form-data"
_MAX_JSON = 64 * 1024
_JSON_S = 5.0


class BodyTimeout(HawkVisionError):
    """The client took too long to send its body."""

    code = "request_timeout"


class BodyReader:
    """Reads the images of a request; all bodies being read share one budget of bytes."""

    def __init__(self, max_body: int, max_buffered: int, timeout_s: float, max_batch: int) -> None:
        self._max_body = max_body
        self._max_buffered = max_buffered
        self._timeout_s = timeout_s
        self._max_batch = max_batch
        self._buffered = 0

    @asynccontextmanager
    async def images(self, request: web.Request) -> AsyncIterator[list[bytes]]:
        """The encoded images of a raw or multipart body; their bytes count until the end.

        Raises PayloadTooLarge, Overloaded, BodyTimeout, InvalidRequest.
        """
        size = request.content_length
        if size is not None and size > self._max_body:
            raise self._too_large(size)
        claim = self._max_body if size is None else size
        if self._buffered + claim > self._max_buffered:
            raise Overloaded("too many bytes are being received", hint="Retry later.")
        self._buffered += claim
        try:
            if request.content.is_eof() and request.content_type != _MULTIPART:
                images = [await self._raw(request)]  # all here already: nothing to wait for
            else:
                images = await self._received(request)
        except TimeoutError:
            self._buffered -= claim
            raise BodyTimeout(
                f"the body did not arrive within {self._timeout_s:g} s",
                hint="Send faster, or send a smaller image.",
            ) from None
        except BaseException:
            self._buffered -= claim
            raise
        try:
            yield images
        finally:
            self._buffered -= claim

    async def _received(self, request: web.Request) -> list[bytes]:
        async with asyncio.timeout(self._timeout_s):
            if request.content_type == _MULTIPART:
                return await self._parts(request)
            return [await self._raw(request)]

    async def _raw(self, request: web.Request) -> bytes:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise self._too_large(self._max_body) from error
        if not body:
            raise InvalidRequest(
                "the body is empty", hint="Send the image's bytes, e.g. curl --data-binary @x.jpg."
            )
        return body

    async def _parts(self, request: web.Request) -> list[bytes]:
        images: list[bytes] = []
        total = 0
        try:
            async for part in await request.multipart():
                if not isinstance(part, BodyPartReader):
                    raise InvalidRequest("nested multipart bodies are not read")
                image = bytearray()
                while chunk := await part.read_chunk(65536):
                    total += len(chunk)
                    if total > self._max_body:
                        raise self._too_large(total)
                    image += chunk
                images.append(bytes(image))
                if len(images) > self._max_batch:
                    raise InvalidRequest(
                        f"more than {self._max_batch} images in one request",
                        hint="Send them in several requests.",
                    )
        except ValueError as error:
            raise InvalidRequest(
                f"the multipart body is malformed: {str(error)[:120]}",
                hint="Send each image as one part of multipart/form-data.",
            ) from error
        if not images:
            raise InvalidRequest("the multipart body holds no image")
        return images

    def _too_large(self, size: int) -> PayloadTooLarge:
        return PayloadTooLarge(
            f"the body has {size} bytes or more; the limit is {self._max_body}",
            hint="Send a smaller or more strongly compressed image.",
        )


async def read_json(request: web.Request) -> Any:
    """A small JSON body. Raises InvalidRequest for what is no JSON, too large, or too slow."""
    if (request.content_length or 0) > _MAX_JSON:
        raise InvalidRequest(f"the body is larger than {_MAX_JSON} bytes")
    try:
        async with asyncio.timeout(_JSON_S):
            data = await request.content.read(_MAX_JSON + 1)
            while len(data) <= _MAX_JSON and (more := await request.content.read(_MAX_JSON)):
                data += more
        if len(data) > _MAX_JSON:
            raise InvalidRequest(f"the body is larger than {_MAX_JSON} bytes")
        return orjson.loads(data)
    except TimeoutError as error:
        raise InvalidRequest("the body did not arrive in time") from error
    except orjson.JSONDecodeError as error:
        raise InvalidRequest("the body is not JSON", hint="Send a JSON object.") from error
