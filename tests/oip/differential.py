"""Send every call to our agent and to a real Triton, and print where they differ.

`python -m tests.oip.differential --triton http://127.0.0.1:8000 --agent http://127.0.0.1:8080`,
both with a model `tiny` (docs/oip.md says how Triton's is made). Not part of the suite: Triton is
large.
"""

from __future__ import annotations

import argparse
import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.models import coloured_jpeg
from tests.oip.calls import LENGTH, RestCall, calls


@dataclass(frozen=True, slots=True)
class Told:
    """What a server answered, as far as it is compared."""

    status: int
    content_type: str | None
    header: int | None
    body: bytes

    @property
    def head(self) -> Any:
        """The JSON, or None."""
        try:
            return json.loads(self.body[: self.header])
        except ValueError:
            return None

    @property
    def compared(self) -> object:
        """Status, where JSON ends, and what it is made of.

        Not the texts and media types of errors, nor `parameters`, which Triton leaves to models.
        """
        head = self.head
        if not isinstance(head, dict):
            return (self.status, type(head))
        outputs = [
            (one["name"], one["datatype"], one["shape"], "data" in one)
            for one in head.get("outputs", ())
            if one["name"] not in ("served_by", "request_id")
        ]
        return (self.status, self.header is None, set(head) - {"parameters"}, outputs)

    def __str__(self) -> str:
        text = self.body[: self.header].decode("utf-8", "replace")
        return f"{self.status} {self.content_type} {text[:300]}"


def send(url: str, call: RestCall) -> Told:
    """One call over a connection of its own."""
    where = urlsplit(url)
    line = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    try:
        line.request(call.method, call.path, call.body, call.headers)
        reply = line.getresponse()
        length = reply.getheader(LENGTH)
        kind = reply.getheader("Content-Type")
        return Told(reply.status, kind, None if length is None else int(length), reply.read())
    finally:
        line.close()


def main() -> None:
    """Print the differences; `--all` prints every answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--triton", required=True)
    parser.add_argument("--agent", default="")
    parser.add_argument("--all", action="store_true")
    asked = parser.parse_args()
    same = different = 0
    for call in calls(coloured_jpeg("red")):
        theirs = send(asked.triton, call)
        ours = send(asked.agent, call) if asked.agent else theirs
        agree = ours.compared == theirs.compared
        same, different = same + agree, different + (not agree)
        if asked.all or not agree:
            print(f"{call.name}\n  Triton: {theirs}")
            if asked.agent:
                print(f"  agent:  {ours}")
    print(f"{same} calls are answered alike, {different} are not")


if __name__ == "__main__":
    main()
