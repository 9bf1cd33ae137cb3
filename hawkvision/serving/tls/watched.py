"""PEM files that may be replaced while they are in use; what does not fit never takes over."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from hawkvision.errors import HawkVisionError
from hawkvision.serving.tls.files import PemFiles, Pems, client_context, read_with
from hawkvision.serving.tls.validity import Validity, validity

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Read:
    pems: Pems
    context: ssl.SSLContext
    validity: Validity


class WatchedPems:
    """Files and what they held when they were last right; `what` they are for, in words.

    `server` makes a server's context of the files; without it, it is a client's. Whoever stands in
    `changed` is called, on the event loop, when others took over. Raises HawkVisionError where the
    files are not right from the start.
    """

    def __init__(
        self,
        files: PemFiles,
        what: str,
        server: Callable[[PemFiles], ssl.SSLContext] | None = None,
    ) -> None:
        self.files = files
        self.changed: list[Callable[[], None]] = []
        self._what = what
        self._server = server
        self._stamp = files.stamp()
        self._said = ""
        self._now = self._read()
        self._say_fault()

    @property
    def pems(self) -> Pems:
        """What the files hold."""
        return self._now.pems

    @property
    def context(self) -> ssl.SSLContext:
        """A context of the files, another one after each renewal."""
        return self._now.context

    @property
    def validity(self) -> Validity:
        """How long the certificate holds, as it was when it was read."""
        return self._now.validity

    def _read(self) -> _Read:
        make = self._server or client_context
        pems, context = read_with(self.files, lambda: make(self.files))
        return _Read(pems, context, validity(self.files, of_server=self._server is not None))

    def _say_fault(self) -> None:
        if self.validity.fault:
            _log.warning("%s: %s: %s", self._what, self.files.cert, self.validity.fault)

    async def look(self, *, closely: bool = False) -> None:
        """Take what the files hold now, if a file has changed, or in any case (`closely`).

        What does not fit is said once, and looked at again the next time.
        """
        stamp = await asyncio.to_thread(self.files.stamp)
        if stamp == self._stamp and not closely:
            return
        try:
            read = await asyncio.to_thread(self._read)
        except (HawkVisionError, OSError) as error:
            if str(error) != self._said:
                _log.warning("%s: the former files stay in use: %s", self._what, error)
            self._said = str(error)
            return
        self._stamp, self._said = stamp, ""
        if read.pems == self.pems:
            return
        self._now = read
        _log.info("%s: renewed; new connections use what the files hold now", self._what)
        self._say_fault()
        for tell in self.changed:
            tell()
