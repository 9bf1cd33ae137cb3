"""Files behind a store's address: TLS and a password, which may be renewed while it is in use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from hawkvision.errors import HawkVisionError, InvalidRequest
from hawkvision.serving.tls.files import PemFiles, Pems, client_context, read_with
from hawkvision.tracking.store.access import StoreAccess
from hawkvision.tracking.store.redis.address import RedisAddress

_log = logging.getLogger(__name__)
_Now = tuple[RedisAddress, Pems | None]


class StoreFiles:
    """The address of a URL with its files; `renew` is told another one, on the event loop.

    Raises InvalidRequest for what cannot be, HawkVisionError for files that are not right.
    """

    def __init__(self, url: str, access: StoreAccess) -> None:
        self._plain = RedisAddress.parse(url)
        self._access = access
        self._said = ""
        self._now = self._read()
        self.renew: Callable[[RedisAddress], None] = lambda _address: None

    @property
    def address(self) -> RedisAddress:
        """As the files were last right."""
        return self._now[0]

    def _read(self) -> _Now:
        address = self._plain.with_access(self._access)
        if address.tls is None or not (names := address.tls.files()):
            return address, None
        for name in names:
            if not Path(name).is_file():
                raise InvalidRequest(f"the store's address: there is no file {name}")
        tls = address.tls
        paths = (tls.certificate, tls.key, tls.ca_certs)
        files = PemFiles(*(None if one is None else Path(one) for one in paths))
        return address, read_with(files, lambda: client_context(files))[0]

    async def look(self, *, closely: bool = False) -> None:
        """Take what the files hold now; what is not right is said once, and the former stays."""
        if not self._access.paths and self._now[1] is None:
            return
        try:
            now = await asyncio.to_thread(self._read)
        except HawkVisionError as error:
            if str(error) != self._said:
                _log.warning("the store's files: the former stay in use: %s", error)
            self._said = str(error)
            return
        self._said = ""
        if now != self._now:
            self._now = now
            _log.info("the store's files: renewed; new connections use what they hold now")
            self.renew(now[0])
