"""Calls over REST that a server of the Open Inference Protocol is sent, right and wrong ones.

The same bytes go to our agent and to a real Triton (`python -m tests.oip.differential`).
"""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

LENGTH = "Inference-Header-Content-Length"
INFER = "/v2/models/tiny/infer"


@dataclass(frozen=True, slots=True)
class RestCall:
    """One request, by name."""

    name: str
    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def packed(*elements: bytes) -> bytes:
    """A BYTES tensor, written here apart from the code under test."""
    return b"".join(struct.pack("<I", len(one)) + one for one in elements)


def tensor(size: int | None, shape: list[Any], **fields: Any) -> dict[str, Any]:
    """The input `image`; `size` is that of its binary data."""
    named: dict[str, Any] = {"name": "image", "shape": shape, "datatype": "BYTES"}
    if size is not None:
        named["parameters"] = {"binary_data_size": size}
    return named | fields


def infer(
    name: str,
    head: Any,
    raw: bytes = b"",
    *,
    length: int | str | None = None,
    path: str = INFER,
    **headers: str,
) -> RestCall:
    """An inference; the header's length is the right one unless it is given."""
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    said = {LENGTH: str(len(text) if length is None else length)} if raw or length else {}
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return RestCall(name, "POST", path, text + raw, said | named)


def calls(image: bytes) -> Iterator[RestCall]:
    """All of them; `image` is one that the server can answer."""
    one = packed(image)
    good = {"inputs": [tensor(len(one), [1])]}
    for path in ("", "/models/tiny", "/models/tiny/versions/1"):
        yield RestCall(f"metadata {path}", "GET", f"/v2{path}")
    for path in ("/health/live", "/health/ready", "/models/tiny/ready"):
        yield RestCall(f"get {path}", "GET", f"/v2{path}")
    for path in ("/models/tiny/versions/1/ready", "/models/none", "/models/none/ready"):
        yield RestCall(f"get {path}", "GET", f"/v2{path}")
    for path in ("/models/tiny/versions/9", "/models/tiny/versions/9/ready", "/nothing"):
        yield RestCall(f"get {path}", "GET", f"/v2{path}")
    for path in ("/models/tiny/versions/x", "/models/tiny/stats", "/models/none/stats"):
        yield RestCall(f"get {path}", "GET", f"/v2{path}")
    for path in ("/models/stats", "/models/tiny/versions/1/stats", "/models/tiny/config"):
        yield RestCall(f"get {path}", "GET", f"/v2{path}")
    yield RestCall("index", "POST", "/v2/repository/index")
    yield RestCall("index of ready ones", "POST", "/v2/repository/index", b'{"ready": true}')
    yield RestCall("index, no JSON", "POST", "/v2/repository/index", b"{")
    yield RestCall("wrong method", "GET", INFER)
    yield RestCall("wrong method of metadata", "POST", "/v2/models/tiny", b"{}")

    yield infer("binary in, JSON out", good, one)
    yield infer("an id", good | {"id": "a-1"}, one)
    yield infer("an id that is a number", good | {"id": 7}, one)
    yield infer("all binary", good | {"parameters": {"binary_data_output": True}}, one)
    yield infer("one output", good | {"outputs": [{"name": "label"}]}, one)
    binary = [{"name": "probabilities", "parameters": {"binary_data": True}}, {"name": "label"}]
    yield infer("one output binary", good | {"outputs": binary}, one)
    turned = [{"name": "probabilities", "parameters": {"binary_data": False}}, {"name": "label"}]
    yield infer(
        "one output not binary",
        good | {"outputs": turned, "parameters": {"binary_data_output": True}},
        one,
    )
    yield infer("no outputs listed", good | {"outputs": []}, one)
    yield infer("an output twice", good | {"outputs": [{"name": "label"}] * 2}, one)
    yield infer("an unknown output", good | {"outputs": [{"name": "boxes"}]}, one)
    yield infer("outputs are no list", good | {"outputs": {"name": "label"}}, one)
    yield infer("three images", {"inputs": [tensor(3 * len(one), [3])]}, one * 3)
    yield infer("a version", good, one, path="/v2/models/tiny/versions/1/infer")
    yield infer("an unknown version", good, one, path="/v2/models/tiny/versions/9/infer")
    yield infer("an unknown model", good, one, path="/v2/models/none/infer")
    yield infer("gzip", gzip.compress(json.dumps(good).encode() + one), Content_Encoding="gzip")
    text = json.dumps(good).encode()
    for name, packer in (("gzip", gzip.compress), ("deflate", zlib.compress)):
        yield RestCall(
            f"{name} with a length",
            "POST",
            INFER,
            packer(text + one),
            {LENGTH: str(len(text)), "Content-Encoding": name},
        )
    said = {LENGTH: str(len(text)), "Content-Encoding": "br"}
    yield RestCall("an unknown coding", "POST", INFER, text + one, said)
    yield RestCall(
        "gzip that is none", "POST", INFER, text + one, said | {"Content-Encoding": "gzip"}
    )
    half = gzip.compress(text + one)[:-20]
    yield RestCall("gzip that breaks off", "POST", INFER, half, said | {"Content-Encoding": "gzip"})

    yield RestCall("the image alone", "POST", INFER, image, {LENGTH: "0"})
    yield RestCall("nothing alone", "POST", INFER, b"", {LENGTH: "0"})
    yield RestCall("the image without a length", "POST", INFER, image)
    yield RestCall("empty", "POST", INFER)
    yield infer("no JSON", b"{", one)
    yield infer("JSON that is no object", [1], one)
    yield infer("no inputs", {}, one)
    yield infer("inputs are no list", {"inputs": {}}, one)
    yield infer("no input", {"inputs": []}, one)
    yield infer("two inputs", {"inputs": [tensor(len(one), [1])] * 2}, one * 2)
    yield infer("another name", {"inputs": [tensor(len(one), [1], name="x")]}, one)
    yield infer("no name", {"inputs": [{"shape": [1], "datatype": "BYTES"}]}, one)
    yield infer("another datatype", {"inputs": [tensor(4, [1], datatype="FP32")]}, b"\0\0\0\0")
    yield infer("an unknown datatype", {"inputs": [tensor(len(one), [1], datatype="X")]}, one)
    yield infer("no datatype", {"inputs": [{"name": "image", "shape": [1]}]}, one)
    yield infer("no shape", {"inputs": [{"name": "image", "datatype": "BYTES"}]}, one)
    yield infer("a shape of text", {"inputs": [tensor(len(one), ["1"])]}, one)
    yield infer("a shape of fractions", {"inputs": [tensor(len(one), [1.0])]}, one)
    yield infer("a negative shape", {"inputs": [tensor(len(one), [-1])]}, one)
    yield infer("an empty shape", {"inputs": [tensor(len(one), [])]}, one)
    yield infer("a shape of none", {"inputs": [tensor(0, [0])]})
    yield infer("a shape that is too long", {"inputs": [tensor(len(one), [1, 1, 1])]}, one)
    yield infer("a shape beyond 64 bits", {"inputs": [tensor(len(one), [2**63])]}, one)
    yield infer("more images than said", {"inputs": [tensor(2 * len(one), [1])]}, one * 2)
    yield infer("fewer images than said", {"inputs": [tensor(len(one), [2])]}, one)
    yield infer("data beyond what is said", good, one + b"rest")
    yield infer("less data than is said", {"inputs": [tensor(len(one) + 9, [1])]}, one)
    yield infer("a negative size", {"inputs": [tensor(-1, [1])]}, one)
    yield infer(
        "a size of text", {"inputs": [tensor(None, [1], parameters={"binary_data_size": "4"})]}, one
    )
    yield infer("an element that ends early", {"inputs": [tensor(4, [1])]}, one[:4])
    yield infer("an element's length cut off", {"inputs": [tensor(2, [1])]}, one[:2])
    yield infer("neither data nor a size", {"inputs": [tensor(None, [1])]}, one)
    yield infer("data and a size", {"inputs": [tensor(len(one), [1], data=["x"])]}, one)
    yield infer("a length beyond the body", good, one, length=10**6)
    yield infer("a length beyond 64 bits", good, one, length=10**30)
    yield infer("a negative length", good, one, length="-1")
    yield infer("a length that is no number", good, one, length="ten")
    yield infer("a length into the data", good, one, length=len(text) + 4)
    yield infer("a length into the JSON", good, one, length=len(text) - 4)
    yield infer("text for an image", {"inputs": [tensor(None, [1], data=["aGVsbG8="])]})
    yield infer("numbers for an image", {"inputs": [tensor(None, [1], data=[1])]})
    shared = {"shared_memory_region": "r", "shared_memory_byte_size": 4}
    yield infer("shared memory", {"inputs": [tensor(None, [1], parameters=shared)]})
    named = [{"name": "label", "parameters": shared}]
    yield infer("shared memory for an output", good | {"outputs": named}, one)
    ranked = [{"name": "probabilities", "parameters": {"classification": 2}}]
    yield infer("the classification extension", good | {"outputs": ranked}, one)
    yield infer("parameters of its own", good | {"parameters": {"accuracy": 0.8}}, one)
    yield infer("parameters that nobody knows", good | {"parameters": {"colour": "red"}}, one)
    yield infer("parameters are a list", good | {"parameters": [1]}, one)
    yield infer("a parameter is an object", good | {"parameters": {"accuracy": {}}}, one)
    yield infer("a parameter is null", good | {"parameters": {"accuracy": None}}, one)
    yield infer(
        "reserved parameters", good | {"parameters": {"priority": 1, "timeout": 10**7}}, one
    )
    yield infer("an image that is none", {"inputs": [tensor(7, [1])]}, packed(b"bad"))
