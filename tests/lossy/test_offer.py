"""The bodies of `POST /v1/streams`, and results as datagrams."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.errors import InvalidRequest
from hawkvision.lossy.offer import (
    StreamOffer,
    StreamRequest,
    advice_for,
    parse_stream_request,
    request_body,
)
from hawkvision.lossy.results import result_datagram, results_in
from hawkvision.lossy.wire.rtcp import parse_compound

OFFER = StreamOffer(
    "id", "10.0.0.1", 8080, 99, "AES_CM_128_HMAC_SHA1_80", bytes(range(30)), 1200, 100, 50, 60, 14
)


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {"acuracy": 0.9},
        {"mtu": 100},
        {"mtu": 1200.5},
        {"mtu": "1200"},
        {"mtu": True},
        {"deadline_ms": 0},
        {"deadline_ms": 20, "wait_ms": 20},
        {"suite": "ROT13"},
        {"conceal": "dream"},
        {"resend": "yes"},
        {"top_k": 0},
    ],
)
def test_bad_requests_are_named(body: object) -> None:
    with pytest.raises(InvalidRequest):
        parse_stream_request(body)


def test_a_request_survives_its_json() -> None:
    asked = StreamRequest(accuracy="0.9", deadline_ms=80.0, resend=True, mtu=900)
    assert parse_stream_request(request_body(asked)) == asked
    assert parse_stream_request({}) == StreamRequest()


def test_an_offer_survives_its_json() -> None:
    assert StreamOffer.parse(OFFER.as_dict()) == OFFER


def test_command_lines_carry_key_source_and_size() -> None:
    lines = OFFER.as_dict()["commands"]
    key = bytes(range(30))
    assert f"srtpenc key={key.hex()} " in lines["gstreamer"]
    assert "ssrc=99" in lines["gstreamer"] and "mtu=1190" in lines["gstreamer"]
    assert base64.b64encode(key).decode() in lines["ffmpeg"] and "-ssrc 99" in lines["ffmpeg"]


def test_ffmpeg_is_not_offered_a_suite_that_it_lacks() -> None:
    gcm = StreamOffer("i", "h", 1, 2, "AEAD_AES_128_GCM", bytes(28), 1200, 100, 50, 60, 14)
    assert set(gcm.as_dict()["commands"]) == {"gstreamer", "gstreamer_files"}


def test_larger_images_are_advised_intervals_below_a_row() -> None:
    small = advice_for(StreamRequest(width=224, height=224))
    large = advice_for(StreamRequest(width=1920, height=1080))
    assert 8 <= small <= 14 and 2 <= large < 20


@given(st.integers(1, 60), st.integers(200, 1200))
def test_results_fit_a_datagram_and_are_read_again(labels: int, room: int) -> None:
    result = {
        "frame": {"timestamp": 5},
        "label": "x",
        "top_k": [{"label": f"class {index}", "probability": 0.1} for index in range(labels)],
        "timing_ms": {"decode": 1.0},
        "task": "t",
    }
    data = result_datagram(9, result, room)
    assert len(data) <= room
    (found,) = results_in(parse_compound(data))
    assert found["frame"] == {"timestamp": 5} and found["label"] == "x"
