"""The HTTP port: accepts connections while there is room, and sends away who outstays.

Accepting is ours, not the event loop's: a peer is counted before its TLS handshake, gets an answer
where there is no room, and running out of descriptors neither spins nor ends the listener.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import math
import os
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from hawkvision.serving.http.connection import Connection
from hawkvision.serving.http.connections import Book, Seat
from hawkvision.serving.http.mute import is_mute
from hawkvision.serving.http.replies import raw_error, too_many
from hawkvision.serving.peers import peer_of
from hawkvision.serving.ports import BACKLOG

_log = logging.getLogger(__name__)
_AT_ONCE = 64
"""Connections accepted before others have their turn."""

_LOOK_S = 1.0
_AGAIN_S = 0.2
_SORT_AGAIN_S = 0.05
"""Sooner nobody looks again who could make room."""

_ROOMS_AT_ONCE = 8
"""Of those that are sent away, the descriptors are free some turns of the event loop later."""

_MUTE_S = 0.05
"""Who has said nothing for so long may be sent away: a client speaks as soon as it is connected."""

_FAREWELL_S = 0.5
_MOST_FAREWELLS = 32
"""Refused sockets that stay open for a moment, so that a client reads why before a reset."""

_TLS_CLOSES_S = 2.0
_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Make = Callable[[Seat], Connection]


class Handing(Protocol):
    """Gives connections to other processes that listen on the same port, and takes theirs."""

    def start(self, take: Callable[[socket.socket], None]) -> None:
        """Take over what others hand here. Raises OSError."""
        ...

    def note(self, connections: int) -> None:
        """So many connections are open here."""
        ...

    def hand(self, accepted: socket.socket, connections: int) -> bool:
        """Give a connection to another one; False where it stays here."""
        ...

    def stop(self) -> None:
        """Take in what was handed here, and then no more."""
        ...


class Listener:
    """Listens from `start` to `stop`. `make` makes the connection for a seat that was given."""

    def __init__(
        self, book: Book, make: Make, tls: ssl.SSLContext | None, handing: Handing | None = None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._book = book
        self._make = make
        self._tls = tls
        self._handing = handing
        self._sockets: list[socket.socket] = []
        self._connections: dict[Seat, Connection] = {}
        self._lines: dict[Seat, socket.socket] = {}
        self._rooms = 0
        self._opening: set[asyncio.Task[None]] = set()
        self._farewells: dict[socket.socket, asyncio.TimerHandle] = {}
        self._idlest: dict[str | None, deque[Connection]] = {}
        self._sorted_at = -math.inf
        self._spare: int | None = None
        self._looks: asyncio.TimerHandle | None = None
        least = min(book.limits.head_s, book.limits.idle_s, book.limits.write_s)
        self._look_s = min(_LOOK_S, least / 4)

    async def start(self, host: str, port: int) -> int:
        """Listen on every address of a host; the port. Raises OSError."""
        found = await self._loop.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, _, _, _, address in dict.fromkeys(found):
            where = (str(address[0]), port, *address[2:])
            sock = socket.create_server(where, family=family, backlog=BACKLOG)
            sock.setblocking(False)
            self._sockets.append(sock)
            port = int(sock.getsockname()[1])
        self.listen(self._sockets)
        return port

    def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Accept from sockets that listen and do not block."""
        self._sockets = list(sockets)
        self._spare = os.open(os.devnull, os.O_RDONLY)
        for sock in self._sockets:
            self._loop.add_reader(sock, self._accept, sock)
        if self._handing is not None:
            self._handing.start(self._take)
        self._look()

    def stop(self) -> None:
        """Take in who has connected already, listen no more, and close who is silent."""
        if self._handing is not None:
            self._handing.stop()
        for sock in self._sockets:
            self._loop.remove_reader(sock)
            self._accept(sock, BACKLOG)
            sock.close()
        self._sockets.clear()
        for sock in list(self._farewells):
            self._part(sock)
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    def close_silent(self) -> None:
        """Close the connections on which nothing has begun."""
        for connection in list(self._connections.values()):
            if connection.silent:
                connection.force_close()

    def dismiss(self) -> None:
        """End the connections that wait for a request; who has begun one is told why."""
        for connection in list(self._connections.values()):
            if connection.waits:
                connection.end("stop")

    def close(self) -> None:
        """Stop, and end every connection at once."""
        self.stop()
        if self._looks is not None:
            self._looks.cancel()
        for task in self._opening:
            task.cancel()
        for connection in list(self._connections.values()):
            connection.end("stop")

    def _left(self, seat: Seat) -> None:
        self._connections.pop(seat, None)
        self._lines.pop(seat, None)
        if self._handing is not None:
            self._handing.note(self._book.open)

    def _accept(self, listening: socket.socket, most: int = _AT_ONCE) -> None:
        rooms = self._rooms
        for _ in range(most):
            if self._rooms - rooms >= _ROOMS_AT_ONCE:
                return  # to accept more when the descriptors of who was sent away are free
            try:
                sock, address = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    continue  # the client has gone already
                if self._make_room(None):
                    return  # to accept who waits when the descriptor is free
                if not self._refuse_with_the_spare(listening, error):
                    self._pause(listening)
                    return
                continue
            if self._handing is None or not self._handing.hand(sock, self._book.open):
                self._seat(sock, str(address[0]))

    def _take(self, sock: socket.socket) -> None:
        """A connection that another worker has accepted."""
        try:
            address = sock.getpeername()
        except OSError:  # the client has gone already
            sock.close()
        else:
            self._seat(sock, str(address[0]))

    def _seat(self, sock: socket.socket, host: str) -> None:
        sock.setblocking(False)
        peer = peer_of(host)
        if not self._has_room(peer):
            self._refuse(sock, peer)
            return
        seat = self._book.enter(peer, self._left)
        connection = self._connections[seat] = self._make(seat)
        self._lines[seat] = sock
        task = self._loop.create_task(self._open(sock, connection))
        if self._tls is not None:
            connection.shakes_hands(task)
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        if self._handing is not None:
            self._handing.note(self._book.open)

    async def _open(self, sock: socket.socket, connection: Connection) -> None:
        times = {
            "ssl_handshake_timeout": self._book.limits.head_s,
            "ssl_shutdown_timeout": _TLS_CLOSES_S,
        }
        try:
            await self._loop.connect_accepted_socket(
                lambda: connection, sock, ssl=self._tls, **(times if self._tls else {})
            )
        except (OSError, TimeoutError):  # ssl.SSLError is an OSError
            self._book.ended["handshake"] += 1
            connection.seat.leave()
            sock.close()
        except BaseException:
            connection.seat.leave()
            sock.close()
            raise

    def _has_room(self, peer: str) -> bool:
        if self._book.full_for(peer):
            return self._make_room(peer)
        return not self._book.full or self._make_room(None)

    def _make_room(self, peer: str | None) -> bool:
        """End a connection that has been silent (of this peer), if there is one."""
        now = self._loop.time()
        if now - self._sorted_at >= self._look_s:
            self._sort(now)
        if not self._has_idle(peer, now):
            if now - self._sorted_at < _SORT_AGAIN_S:
                return False
            self._sort(now)
            if not self._has_idle(peer, now):
                return False
        found = self._idlest[peer].popleft()
        self._book.ended["room"] += 1
        self._rooms += 1
        found.end("room")
        return True

    def _has_idle(self, peer: str | None, now: float) -> bool:
        idlest = self._idlest.get(peer, deque())
        while idlest and not self._may_go(idlest[0], now):
            idlest.popleft()
        return bool(idlest)

    def _refuse(self, sock: socket.socket, peer: str) -> None:
        book = self._book
        if not book.full:
            reason, text = "peer", f"{book.limits.of_peer(peer)} connections of one peer are open"
        else:
            reason, text = "total", f"{book.limits.most} connections are open"
        if book.refuse(reason, self._loop.time()):
            option = "--max-connections" + ("-per-peer" if reason == "peer" else "")
            _log.warning("connections from %s are refused: %s (%s)", peer, text, option)
        self._farewell(sock, text)

    def _farewell(self, sock: socket.socket, text: str) -> None:
        """Say why, and close. TLS has no words before its handshake."""
        if self._tls is None:
            with contextlib.suppress(OSError):
                sock.send(raw_error(too_many(text)))
                sock.shutdown(socket.SHUT_WR)
            if len(self._farewells) < _MOST_FAREWELLS:
                self._farewells[sock] = self._loop.call_later(_FAREWELL_S, self._part, sock)
                return
        sock.close()

    def _part(self, sock: socket.socket) -> None:
        self._farewells.pop(sock).cancel()
        sock.close()

    def _refuse_with_the_spare(self, listening: socket.socket, error: OSError) -> bool:
        """Without a free descriptor, answer with the one that is kept for this."""
        if self._book.refuse("descriptors", self._loop.time()):
            _log.warning("connections are refused: %s (ulimit -n)", error.strerror)
        if self._spare is None:
            return False
        os.close(self._spare)
        self._spare = None
        try:
            sock, _ = listening.accept()
        except OSError:
            return False
        else:
            sock.setblocking(False)
            with contextlib.suppress(OSError):
                if self._tls is None:
                    sock.send(raw_error(too_many("no descriptor is free")))
            sock.close()
            return True
        finally:
            with contextlib.suppress(OSError):
                self._spare = os.open(os.devnull, os.O_RDONLY)

    def _pause(self, listening: socket.socket) -> None:
        """Let others work for a moment; a listener that cannot accept would always be ready."""
        self._loop.remove_reader(listening)

        def again() -> None:
            if listening in self._sockets:
                self._loop.add_reader(listening, self._accept, listening)

        self._loop.call_later(_AGAIN_S, again)

    def _look(self) -> None:
        """End who is overdue."""
        self._looks = self._loop.call_later(self._look_s, self._look)
        now, limits = self._loop.time(), self._book.limits
        if now - self._sorted_at >= self._look_s:
            self._idlest.clear()  # nobody who has gone is kept
        for connection in list(self._connections.values()):
            reason = connection.overdue(limits, now)
            if reason is not None:
                self._book.ended[reason] += 1
                connection.end(reason)

    def _sort(self, now: float) -> None:
        """Note who could make room, of each peer and (None) of all."""
        self._sorted_at = now
        self._idlest = {None: deque()}
        idle = [one for one in self._connections.values() if self._may_go(one, now)]
        for one in sorted(idle, key=self._worth):
            self._idlest[None].append(one)
            self._idlest.setdefault(one.seat.peer, deque()).append(one)

    def _worth(self, one: Connection) -> tuple[int, bool, float]:
        """As the connection's, but who has said nothing at all goes before who has begun."""
        kind, since = one.worth
        return kind, kind == 0 and not self._is_mute(one), since

    def _may_go(self, one: Connection, now: float) -> bool:
        return one.evictable(now) or (one.evictable(now, _MUTE_S) and self._is_mute(one))

    def _is_mute(self, one: Connection) -> bool:
        line = self._lines.get(one.seat)
        return line is not None and is_mute(line)
