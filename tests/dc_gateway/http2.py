"""HTTP/2 frames by hand (RFC 9113, RFC 7541), for what no gRPC client would send."""

from __future__ import annotations

import socket
import struct
from types import TracebackType

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
WINDOW_UPDATE, CONTINUATION = 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INFER = "/inference.GRPCInferenceService/ModelInfer"


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    head = struct.pack(">I", len(payload))[1:] + bytes([kind, flags])
    return head + struct.pack(">I", stream) + payload


def call_headers(path: str = INFER) -> bytes:
    """Literal fields without indexing."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "gateway",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    return b"".join(
        b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields.items()
    )


class Http2:
    """A connection that has said hello."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._buffer = b""
        self.send(PREFACE + frame(SETTINGS))

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> tuple[int, int, int, bytes] | None:
        """The next frame as kind, flags, stream and payload; None once the connection is closed."""
        while True:
            if len(self._buffer) >= 9:
                end = 9 + int.from_bytes(self._buffer[:3], "big")
                if len(self._buffer) >= end:
                    one, self._buffer = self._buffer[:end], self._buffer[end:]
                    return one[3], one[4], int.from_bytes(one[5:9], "big"), one[9:]
            try:
                data = self._socket.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._buffer += data

    def wait_for(self, *kinds: int) -> tuple[int, int, int, bytes] | None:
        """The next frame of these kinds; None if the other side closes before."""
        while (one := self.receive()) is not None:
            if one[0] in kinds:
                return one
        return None

    def __enter__(self) -> Http2:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._socket.close()
