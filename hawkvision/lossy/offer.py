"""What a client asks of a lossy stream, and what it is told: the bodies of `POST /v1/streams`."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from hawkvision.errors import InvalidRequest
from hawkvision.lossy.jpeg.layout import LARGEST_STATED_SIDE, Layout
from hawkvision.lossy.jpeg.packetize import advised_interval, payload_room
from hawkvision.lossy.wire import parity
from hawkvision.lossy.wire.rtp import CLOCK_HZ
from hawkvision.lossy.wire.rtpjpeg import PAYLOAD_TYPE
from hawkvision.lossy.wire.srtp import DEFAULT_SUITE, LARGEST, Suite, suite_named

Concealment = Literal["interpolate", "previous"]
_BYTES_PER_PIXEL = 0.22
"""Of a photo at quality 85 to 90, for advice where the client says nothing better."""


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """A checked request. Times in milliseconds.

    `deadline_ms` runs from a frame's first packet to its answer, `wait_ms` to the moment when
    what arrived has to do. With `resend` the client offers to send a badly damaged image over
    HTTP. `rtt_ms` is what the circuit breaker assumes of the path.
    """

    task: str | None = None
    accuracy: str | None = field(default=None, metadata={"json": float | str | None})
    app: str | None = None
    top_k: int = 3
    deadline_ms: float = 100.0
    wait_ms: float | None = None
    mtu: int = 1200
    suite: str = DEFAULT_SUITE
    replies: bool = True
    resend: bool = False
    parity: bool = False
    conceal: Concealment = "interpolate"
    width: int = 640
    height: int = 480
    rtt_ms: float = 50.0

    @property
    def cutoff_ms(self) -> float:
        """The longest wait for a frame's packets: half of the deadline unless told."""
        return self.deadline_ms / 2 if self.wait_ms is None else self.wait_ms


_NUMBERS: dict[str, tuple[float, float]] = {
    "deadline_ms": (5, 60_000),
    "wait_ms": (1, 60_000),
    "rtt_ms": (0.1, 10_000),
    "mtu": (256, 9000),
    "top_k": (1, 1000),
    "width": (16, LARGEST_STATED_SIDE),
    "height": (16, LARGEST_STATED_SIDE),
}
_WHOLE = frozenset({"mtu", "top_k", "width", "height"})
_TEXTS = frozenset({"task", "accuracy", "app", "suite", "conceal"})
_FLAGS = frozenset({"replies", "resend", "parity"})


def parse_stream_request(body: Any) -> StreamRequest:
    """Check the JSON body. Raises InvalidRequest naming the key."""
    known = _TEXTS | _FLAGS | set(_NUMBERS)
    if not isinstance(body, Mapping):
        raise InvalidRequest("the body is not a JSON object", hint='{"accuracy": 0.9}')
    if unknown := sorted(str(key) for key in set(body) - known):
        raise InvalidRequest(
            f"unknown key {unknown[0][:40]!r}", hint=f"Known: {', '.join(sorted(known))}."
        )
    checked: dict[str, Any] = {}
    for key, value in body.items():
        if value is None:
            continue
        if key in _NUMBERS:
            checked[key] = _number(key, value)
        elif key in _FLAGS:
            if not isinstance(value, bool):
                raise InvalidRequest(f"{key} is true or false, not {str(value)[:40]!r}")
            checked[key] = value
        else:
            checked[key] = str(value)
    request = StreamRequest(**checked)
    if request.conceal not in ("interpolate", "previous"):
        raise InvalidRequest(f"conceal is interpolate or previous, not {request.conceal[:40]!r}")
    if request.cutoff_ms >= request.deadline_ms:
        raise InvalidRequest("wait_ms has to be shorter than deadline_ms")
    if suite_named(request.suite) is not None and request.mtu > LARGEST:
        raise InvalidRequest(f"with SRTP mtu is a number from 256 to {LARGEST}, not {request.mtu}")
    return request


def _number(key: str, value: Any) -> float | int:
    low, high = _NUMBERS[key]
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not low <= number <= high or (key in _WHOLE and number != int(number)):
        raise InvalidRequest(f"{key} is a number from {low:g} to {high:g}, not {str(value)[:40]!r}")
    return int(number) if key in _WHOLE else float(number)


@dataclass(frozen=True, slots=True)
class StreamOffer:
    """How to reach a stream. `key` is empty for plain RTP on loopback; times in milliseconds.

    `warning` says what is unsafe about the way this offer takes to the client, if anything is.
    `width` and `height` in pixels are what the camera's lines ask of it, 0 for its own choice.
    """

    id: str
    host: str
    port: int
    ssrc: int
    suite: str
    key: bytes
    mtu: int
    deadline_ms: float
    wait_ms: float
    expires_s: float
    interval_mcus: int
    warning: str = ""
    width: int = 0
    height: int = 0

    @property
    def crypto(self) -> Suite | None:
        """The SRTP suite, None for plain RTP."""
        return suite_named(self.suite)

    @property
    def tag_bytes(self) -> int:
        """What SRTP adds to a packet."""
        return self.crypto.tag_bytes if self.crypto else 0

    def as_dict(self, base_path: str = "/v1/streams") -> dict[str, Any]:
        """The JSON body of the answer."""
        return {
            "id": self.id,
            "address": {"host": self.host, "port": self.port},
            "ssrc": self.ssrc,
            "payload_type": PAYLOAD_TYPE,
            "parity_payload_type": parity.PAYLOAD_TYPE,
            "clock_hz": CLOCK_HZ,
            "suite": self.suite,
            "key": base64.b64encode(self.key).decode(),
            "mtu": self.mtu,
            "deadline_ms": self.deadline_ms,
            "wait_ms": self.wait_ms,
            "expires_s": self.expires_s,
            "width": self.width,
            "height": self.height,
            "restart_interval": {
                "mcus": self.interval_mcus,
                "advice": "Insert restart markers, at least one for each row of MCUs: without them "
                "a lost packet costs the rest of the image.",
            },
            "results": f"{base_path}/{self.id}/results",
            "commands": commands(self),
            **({"warning": self.warning} if self.warning else {}),
        }

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> StreamOffer:
        """From the JSON body. Raises KeyError, TypeError or ValueError for another shape."""
        return cls(
            id=str(body["id"]),
            host=str(body["address"]["host"]),
            port=int(body["address"]["port"]),
            ssrc=int(body["ssrc"]),
            suite=str(body["suite"]),
            key=base64.b64decode(body["key"]),
            mtu=int(body["mtu"]),
            deadline_ms=float(body["deadline_ms"]),
            wait_ms=float(body["wait_ms"]),
            expires_s=float(body["expires_s"]),
            interval_mcus=int(body["restart_interval"]["mcus"]),
            warning=str(body.get("warning", "")),
            width=int(body.get("width", 0)),
            height=int(body.get("height", 0)),
        )


def advice_for(request: StreamRequest) -> int:
    """The restart interval in MCUs that suits the image size a client announced."""
    layout = Layout(1, -(-request.width // 8) * 8, -(-request.height // 8) * 8)
    suite = suite_named(request.suite)
    room = payload_room(request.mtu, suite.tag_bytes if suite else 0)
    size = int(request.width * request.height * _BYTES_PER_PIXEL)
    return advised_interval(layout, size, room)


def commands(offer: StreamOffer) -> dict[str, str]:
    """Command lines that send a camera, or numbered JPEG files, into the stream.

    GStreamer's rows of MCUs come from sliced encoding; `jpegenc` has no restart markers.
    """
    suite = offer.crypto
    pay = f"rtpjpegpay mtu={offer.mtu - offer.tag_bytes} ssrc={offer.ssrc}"
    if suite is not None:
        pay += f" ! srtpenc key={offer.key.hex()} {suite.gstreamer}"
    sink = f"{pay} ! udpsink host={offer.host} port={offer.port}"
    encode = (
        "avenc_mjpeg huffman=default force-duplicated-matrix=true slices=4 threads=auto "
        "thread-type=slice"
    )
    raw, capture, scale = "videoconvert ! video/x-raw,format=I420", "", ""
    if offer.width and offer.height:  # asked of the camera, and scaled to where it cannot
        raw = "videoconvert ! videoscale ! video/x-raw,format=I420"
        raw += f",width={offer.width},height={offer.height}"
        capture = f"-video_size {offer.width}x{offer.height} "
        scale = f"-vf scale={offer.width}:{offer.height} "
    found = {
        "gstreamer": f"gst-launch-1.0 -e v4l2src ! {raw} ! {encode} ! {sink}",
        "gstreamer_files": "gst-launch-1.0 -e imagesequencesrc location=%05d.jpg "
        f"framerate=10/1 ! jpegparse ! {sink}",
    }
    if suite is None or suite.name == DEFAULT_SUITE:
        out = _ffmpeg_output(offer, suite)
        found["ffmpeg"] = (
            f"ffmpeg -f v4l2 {capture}-i /dev/video0 {scale}"
            "-c:v mjpeg -huffman default -force_duplicated_matrix 1 "
            f"-pix_fmt yuvj420p -q:v 4 -threads 2 -thread_type slice -slices 4 {out}"
        )
        found["ffmpeg_files"] = f"ffmpeg -re -framerate 10 -i %05d.jpg -c:v copy {out}"
    return found


def _ffmpeg_output(offer: StreamOffer, suite: Suite | None) -> str:
    size = offer.mtu - offer.tag_bytes
    host = f"[{offer.host}]" if ":" in offer.host else offer.host
    address = f"{host}:{offer.port}?rtcpport={offer.port}&pkt_size={size}"
    if suite is None:
        return f"-ssrc {offer.ssrc} -f rtp 'rtp://{address}'"
    key = base64.b64encode(offer.key).decode()
    return (
        f"-ssrc {offer.ssrc} -f rtp -srtp_out_suite {suite.name} -srtp_out_params {key} "
        f"'srtp://{address}'"
    )


def request_body(request: StreamRequest) -> dict[str, Any]:
    """The JSON body that asks for this; the defaults are left out."""
    default = StreamRequest()
    return {
        name: getattr(request, name)
        for name in cast(tuple[str, ...], StreamRequest.__slots__)
        if getattr(request, name) != getattr(default, name)
    }
