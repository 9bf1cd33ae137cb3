"""LitServe: `python -m loadtest.peers.litserve TASK PORT`, two workers behind two API servers."""

import sys
from typing import Annotated, Any

import litserve
from fastapi import Body

from loadtest.peers.work import Work

WORKERS = 2


class Classify(litserve.LitAPI):
    """Takes the body as it came; LitServe reads annotations, so here they are no strings."""

    def setup(self, device: str) -> None:
        """Once in each worker."""
        self._work = Work(sys.argv[1])

    def decode_request(self, request: Annotated[bytes, Body()]) -> bytes:
        """The encoded image."""
        return request

    def predict(self, image: bytes) -> dict[str, Any]:
        """Label and class_id."""
        return self._work.answer(image)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """As JSON."""
        return output


def main() -> None:
    """Serve until SIGTERM."""
    server = litserve.LitServer(
        Classify(), accelerator="cpu", workers_per_device=WORKERS, fast_queue=True
    )
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[2]),
        num_api_servers=WORKERS,
        log_level="error",
        generate_client_file=False,
        access_log=False,
    )


if __name__ == "__main__":
    main()
