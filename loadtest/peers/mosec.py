"""mosec: `python -m loadtest.peers.mosec TASK PORT [BATCH]`, two worker processes.

With BATCH requests wait up to a millisecond to come to a worker together.
"""

from __future__ import annotations

import sys
from typing import Any

import orjson
from mosec import Server, Worker

from loadtest.peers.work import Work

WORKERS = 2


BATCH_WAIT_MS = 1


class Classify(Worker):
    """Takes the body as it came."""

    def __init__(self) -> None:
        super().__init__()
        self._work = Work(sys.argv[1])

    def deserialize(self, data: bytes) -> bytes:
        """The encoded image."""
        return data

    def serialize(self, data: dict[str, Any]) -> bytes:
        """As JSON."""
        return orjson.dumps(data)

    def forward(self, data: bytes) -> dict[str, Any]:
        """Label and class_id."""
        return self._work.answer(data)


class ClassifyMany(Classify):
    """Takes several bodies at once."""

    def forward(self, data: list[bytes]) -> list[dict[str, Any]]:  # type: ignore[override]
        """Of each, label and class_id."""
        return [self._work.answer(one) for one in data]


def main() -> None:
    """Serve until SIGTERM."""
    port, batch = sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1
    sys.argv[2:] = ["--address", "127.0.0.1", "--port", port, "--log-level", "error"]
    server = Server()
    if batch == 1:
        server.append_worker(Classify, num=WORKERS)
    else:
        server.append_worker(
            ClassifyMany, num=WORKERS, max_batch_size=batch, max_wait_time=BATCH_WAIT_MS
        )
    server.run()


if __name__ == "__main__":
    main()
