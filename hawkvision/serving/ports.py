"""Ports that several processes of one service share.

Where the kernel spreads connections and datagrams over sockets that share a port (Linux,
SO_REUSEPORT; socket(7)), each process opens one of its own, and one that dies takes nothing with it
but what it had. Elsewhere all use the parent's.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from typing import Any

SPREADS = sys.platform.startswith("linux") and hasattr(socket, "SO_REUSEPORT")
"""Whether sockets that share a port share what comes there."""

BACKLOG = 512
_RECEIVE_BUFFER = 4 * 1024 * 1024

Where = tuple[socket.AddressFamily, tuple[Any, ...]]


class SharedPort:
    """A port of a host, kept from the parent's start on; `open` gives a process its sockets."""

    def __init__(
        self, kind: socket.SocketKind, where: list[Where], spreads: bool = SPREADS
    ) -> None:
        self._kind = kind
        self._spreads = spreads
        self._where: list[Where] = []
        self._held: list[socket.socket] = []
        self.port = 0
        try:
            for family, address in where:
                self._take(family, address)
        except OSError:
            self.close()
            raise

    @classmethod
    def tcp(cls, host: str, port: int, spreads: bool = SPREADS) -> SharedPort:
        """On every address of a host; port 0 takes a free one. Raises OSError."""
        return cls(socket.SOCK_STREAM, _found(host, port, socket.SOCK_STREAM), spreads)

    @classmethod
    def udp(cls, host: str, port: int, spreads: bool = SPREADS) -> SharedPort:
        """On the first address of a host; port 0 takes a free one. Raises OSError."""
        return cls(socket.SOCK_DGRAM, _found(host, port, socket.SOCK_DGRAM)[:1], spreads)

    def _take(self, family: socket.AddressFamily, address: tuple[Any, ...]) -> None:
        """Whoever has the port must not share it with us: the first socket shares with nobody."""
        where = (family, (address[0], self.port or address[1], *address[2:]))
        sock = self._bound(*where, shared=False)
        self.port = int(sock.getsockname()[1])
        where = (family, (address[0], self.port, *address[2:]))
        self._where.append(where)
        if self._spreads:
            sock.close()
            sock = self._bound(*where, shared=True)
        elif self._kind is socket.SOCK_STREAM:
            sock.listen(BACKLOG)
        self._held.append(sock)

    def _bound(
        self, family: socket.AddressFamily, address: tuple[Any, ...], *, shared: bool
    ) -> socket.socket:
        if self._kind is socket.SOCK_DGRAM:
            return udp_socket_at(family, address, shared=shared)
        sock = socket.socket(family, self._kind)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family is socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(address)
        except OSError:
            sock.close()
            raise
        return sock

    def open(self) -> list[socket.socket]:
        """Sockets for this process, which closes them: TCP ones listen. Raises OSError."""
        if not self._spreads:
            return [sock.dup() for sock in self._held]
        opened = []
        for family, address in self._where:
            sock = self._bound(family, address, shared=True)
            if self._kind is socket.SOCK_STREAM:
                sock.listen(BACKLOG)
            opened.append(sock)
        return opened

    def workers_hold(self) -> None:
        """Once workers have sockets: a UDP socket of the parent would be given datagrams too."""
        if self._spreads and self._kind is socket.SOCK_DGRAM:
            self.close()

    def descriptors(self) -> list[int]:
        """Those of the parent that a worker has no use for."""
        return [sock.fileno() for sock in self._held] if self._spreads else []

    def close(self) -> None:
        """Give the port back, as far as this process has it."""
        for sock in self._held:
            sock.close()
        self._held.clear()


def _found(host: str, port: int, kind: socket.SocketKind) -> list[Where]:
    found = socket.getaddrinfo(host or None, port, type=kind, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def udp_socket(host: str, port: int) -> socket.socket:
    """A bound UDP socket with a receive buffer for bursts of frames. Raises OSError."""
    [where] = _found(host, port, socket.SOCK_DGRAM)[:1]
    return udp_socket_at(*where)


def udp_socket_at(
    family: socket.AddressFamily, address: tuple[Any, ...], *, shared: bool = False
) -> socket.socket:
    """As `udp_socket`, at an address; `shared` with others that say so. Raises OSError."""
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        bound.setblocking(False)
        for option in (getattr(socket, "SO_RCVBUFFORCE", 33), socket.SO_RCVBUF):
            with contextlib.suppress(OSError):
                bound.setsockopt(socket.SOL_SOCKET, option, _RECEIVE_BUFFER)
                break
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound
