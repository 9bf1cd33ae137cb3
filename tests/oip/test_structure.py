"""How much of a message is structure, whatever the bytes are."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.errors import InvalidRequest
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.structure import check_structure

LIMIT = 1000


def request(payload: bytes, name: str = "image", count: int = 1) -> messages.ModelInferRequest:
    made = messages.ModelInferRequest(model_name="tiny", id="r")
    for _ in range(count):
        made.inputs.add(name=name, datatype="BYTES", shape=[1])
    made.raw_input_contents.append(payload)
    return made


def test_images_are_no_structure_wherever_they_lie() -> None:
    raw = request(bytes(100_000))
    typed = request(b"")
    typed.inputs[0].contents.bytes_contents.append(bytes(100_000))
    for made in (raw, typed):
        check_structure(made.SerializeToString(), LIMIT)


def wide(field: str) -> messages.ModelInferRequest:
    made = request(b"")
    getattr(made.inputs[0].contents, field).extend([1] * 2000)
    return made


BOMBS = {
    "empty inputs": b"\x2a\x00" * 600,
    "empty outputs": b"\x32\x00" * 600,
    "empty raw contents": b"\x3a\x00" * 600,
    "unknown fields": b"\x98\x06\x01" * 600,
    "a long name": request(b"", name="x" * 2000).SerializeToString(),
    "many inputs": request(b"", count=100).SerializeToString(),
    "integers": wide("int64_contents").SerializeToString(),
    "floats": wide("fp32_contents").SerializeToString(),
    "booleans": wide("bool_contents").SerializeToString(),
}


@pytest.mark.parametrize("name", BOMBS)
def test_structure_beyond_the_limit_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="more than 1000 bytes"):
        check_structure(BOMBS[name], LIMIT)


@given(st.binary(max_size=200))
def test_any_bytes_pass_or_are_an_invalid_request(raw: bytes) -> None:
    with suppress(InvalidRequest):
        check_structure(raw, 10)


@given(
    st.text(max_size=20),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
    st.lists(st.binary(max_size=50), max_size=4),
    st.dictionaries(st.text(max_size=5), st.integers(-(2**63), 2**63 - 1), max_size=3),
)
def test_whatever_protobuf_writes_is_read(
    name: str, shape: list[int], payload: list[bytes], parameters: dict[str, int]
) -> None:
    made = messages.ModelInferRequest(model_name=name)
    tensor = made.inputs.add(name=name, datatype="BYTES", shape=shape)
    tensor.contents.bytes_contents.extend(payload)
    made.raw_input_contents.extend(payload)
    for key, value in parameters.items():
        made.parameters[key].int64_param = value
        tensor.parameters[key].int64_param = value
    raw = made.SerializeToString()
    check_structure(raw, LIMIT)
    padded = request(bytes(LIMIT))
    padded.MergeFrom(made)
    raw = padded.SerializeToString()
    check_structure(raw, LIMIT)
    structure = len(raw) - LIMIT - 2 * sum(map(len, payload))
    with pytest.raises(InvalidRequest):
        check_structure(raw, structure - 1)
    check_structure(raw, structure)
