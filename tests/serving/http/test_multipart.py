"""multipart/form-data: what clients encode comes back; anything else is refused, never a fault."""

from __future__ import annotations

import contextlib

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.errors import InvalidRequest
from hawkvision.serving.http.multipart import boundary_of, split_parts

contents = st.binary(max_size=60) | st.sampled_from([b"", b"\r\n", b"--", b"\r\n--b", b"\r\n--b-"])
names = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20)


@given(st.lists(st.tuples(names, contents), min_size=1, max_size=5))
def test_what_urllib3_encodes_comes_back(parts: list[tuple[str, bytes]]) -> None:
    fields = [("image", (name, content, "image/jpeg")) for name, content in parts]
    body, content_type = urllib3.encode_multipart_formdata(fields)
    assert split_parts(body, boundary_of(content_type), 5) == [content for _, content in parts]


@given(
    st.lists(st.sampled_from([b"--b", b"--", b"\r\n", b"a: b", b" ", b"x", b"--bb", b"name"])).map(
        b"".join
    )
)
def test_any_bytes_are_parts_or_refused(body: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        assert all(part in body for part in split_parts(body, b"b", 8))


def body_of(*parts: bytes, end: bytes = b"--b--\r\n") -> bytes:
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + end


HEADER = b'Content-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'


@pytest.mark.parametrize(
    "body",
    [
        body_of(HEADER + b"one", HEADER + b"two"),
        b"preamble, which nobody reads\r\n" + body_of(HEADER + b"one", HEADER + b"two"),
        body_of(HEADER + b"one", HEADER + b"two", end=b"--b--\r\nepilogue"),
        body_of(b"\r\none", b"\r\ntwo"),
        b"--b \t\r\n" + HEADER + b"one\r\n--b\r\n" + HEADER + b"two\r\n--b--",
        body_of(b"X: folded\r\n over: two lines\r\n" + HEADER + b"one", HEADER + b"two"),
        body_of(b'content-disposition: form-data; name="_charset_"\r\n\r\nutf-8')[:-7]
        + body_of(HEADER + b"one", HEADER + b"two"),
        body_of(HEADER.replace(b"a.jpg", b"a" * 9000) + b"one", HEADER + b"two"),
    ],
    ids=[
        "plain",
        "preamble",
        "epilogue",
        "no headers",
        "padding",
        "folded",
        "charset",
        "long name",
    ],
)
def test_every_form_of_two_parts_is_read(body: bytes) -> None:
    assert split_parts(body, b"b", 8) == [b"one", b"two"]


def test_a_longer_boundary_is_content() -> None:
    assert split_parts(body_of(HEADER + b"\r\n--bb\r\nx"), b"b", 8) == [b"\r\n--bb\r\nx"]


def test_a_part_may_be_empty() -> None:
    assert split_parts(body_of(HEADER) + body_of(HEADER[:-2]), b"b", 8) == [b""]


def test_a_body_of_no_parts_is_empty() -> None:
    assert split_parts(b"--b--\r\n", b"b", 8) == []


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "does not occur"),
        (b"nothing of the kind", "does not occur"),
        (b"--bb\r\n\r\none\r\n--bb--", "does not occur"),
        (body_of(HEADER + b"one", end=b""), "breaks off"),
        (body_of(b"no colon here\r\n\r\none"), "without a colon, b'no colon here'"),
        (body_of(b"a: b\r\nnone\r\n\r\none"), "without a colon, b'none'"),
        (body_of(HEADER.replace(b"a.jpg", b"a" * 20_000) + b"one"), "do not end"),
        (body_of(HEADER[:-4]), "do not end"),
        (body_of(b"Content-Type: multipart/mixed; boundary=c\r\n\r\n--c"), "nested"),
        (body_of(*[HEADER + b"one"] * 9), "more than 8"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(body: bytes, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        split_parts(body, b"b", 8)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=b", b"b"),
        ('multipart/form-data; boundary="a b:c"', b"a b:c"),
        ("multipart/form-data; charset=utf-8; BOUNDARY=----x; more=1", b"----x"),
    ],
)
def test_a_boundary_is_read(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=caf\xe9",
        f"multipart/form-data; boundary={'b' * 71}",
    ],
)
def test_without_a_boundary_nothing_is_read(content_type: str) -> None:
    with pytest.raises(InvalidRequest, match="boundary"):
        boundary_of(content_type)
