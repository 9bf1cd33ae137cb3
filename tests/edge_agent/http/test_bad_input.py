"""Bad input over real HTTP: a clear error each time, and the agent goes on serving."""

from __future__ import annotations

import io
import json
import shutil
import socket
import struct
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import urllib3
from PIL import Image

from tests.models import build_tiny_repository, coloured_jpeg
from tests.processes import Service, edge, free_port

Reply = tuple[int, dict[str, Any]]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    repository = build_tiny_repository(tmp_path_factory.mktemp("repository"))
    dead = f"127.0.0.1:{free_port()}"
    with edge(repository, dead, "--body-timeout-s", "1") as service:
        yield service


@pytest.fixture(scope="module")
def http() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False, timeout=30) as pool:
        yield pool


@pytest.fixture(autouse=True)
def still_serving(agent: Service, http: urllib3.PoolManager) -> Iterator[None]:
    """After each test a good image is answered, and memory has not run away."""
    yield
    status, body = post(agent, http, coloured_jpeg("red"))
    assert (status, body["label"]) == (200, "red")
    assert psutil.Process(agent.process.pid).memory_info().rss < 400 * 2**20


def post(
    agent: Service,
    http: urllib3.PoolManager,
    body: bytes,
    query: str = "accuracy=0.5",
    content_type: str = "image/jpeg",
) -> Reply:
    reply = http.request(
        "POST",
        f"http://{agent.address}/v1/classify?{query}",
        body=body,
        headers={"Content-Type": content_type},
    )
    return reply.status, json.loads(reply.data)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def code(reply: Reply) -> tuple[int, str]:
    status, body = reply
    error = body["error"]
    assert error["message"]
    return status, error["code"]


def test_an_empty_body(agent: Service, http: urllib3.PoolManager) -> None:
    assert code(post(agent, http, b"")) == (400, "invalid_request")


def test_a_truncated_jpeg(agent: Service, http: urllib3.PoolManager) -> None:
    whole = coloured_jpeg("red", size=(400, 300))
    assert code(post(agent, http, whole[: len(whole) // 2])) == (422, "corrupt_image")


def test_a_png_named_jpeg_is_read_by_its_content(agent: Service, http: urllib3.PoolManager) -> None:
    status, _ = post(agent, http, encoded(Image.new("RGB", (40, 40), "red"), "PNG"))
    assert status == 200


def test_text_is_not_an_image(agent: Service, http: urllib3.PoolManager) -> None:
    assert code(post(agent, http, b"hello, this is no image")) == (415, "unsupported_image")


def test_one_pixel_is_answered(agent: Service, http: urllib3.PoolManager) -> None:
    status, _ = post(agent, http, encoded(Image.new("RGB", (1, 1), "red"), "PNG"))
    assert status == 200


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "JPEG"), ("CMYK", "JPEG"), ("I;16", "PNG"), ("LA", "PNG")]
)
def test_other_colour_spaces_are_answered(
    agent: Service, http: urllib3.PoolManager, mode: str, kind: str
) -> None:
    status, _ = post(agent, http, encoded(Image.new(mode, (50, 40)), kind))
    assert status == 200


def test_an_animated_webp_is_answered_by_its_first_frame(
    agent: Service, http: urllib3.PoolManager
) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    body = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    status, answer = post(agent, http, body, content_type="image/webp")
    assert (status, answer["label"]) == (200, "red")


def test_an_exif_rotated_photo_is_answered(agent: Service, http: urllib3.PoolManager) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    status, _ = post(agent, http, encoded(Image.new("RGB", (60, 30), "red"), "JPEG", exif=exif))
    assert status == 200


def bomb(side: int) -> bytes:
    """A PNG of a few kB whose header declares side x side pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(2**20), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def test_a_pixel_bomb_is_refused_before_it_takes_memory(
    agent: Service, http: urllib3.PoolManager
) -> None:
    before = psutil.Process(agent.process.pid).memory_info().rss
    assert code(post(agent, http, bomb(30_000))) == (413, "payload_too_large")
    assert psutil.Process(agent.process.pid).memory_info().rss - before < 50 * 2**20


def test_a_50_mb_body_is_refused(agent: Service) -> None:
    with socket.create_connection(("127.0.0.1", agent.port), timeout=30) as client:
        client.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 52428800\r\n\r\n")
        reply = client.recv(65536)
    assert reply.startswith(b"HTTP/1.1 413")


def test_a_50_mb_chunked_body_is_refused_without_keeping_it(agent: Service) -> None:
    before = psutil.Process(agent.process.pid).memory_info().rss
    with socket.create_connection(("127.0.0.1", agent.port), timeout=30) as client:
        client.sendall(
            b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        block = b"100000\r\n" + bytes(2**20) + b"\r\n"
        try:
            for _ in range(50):
                client.sendall(block)
            client.sendall(b"0\r\n\r\n")
        except ConnectionError:
            pass
        assert psutil.Process(agent.process.pid).memory_info().rss - before < 150 * 2**20


@pytest.mark.parametrize("accuracy", ["0", "1.5", "abc"])
def test_a_senseless_accuracy(agent: Service, http: urllib3.PoolManager, accuracy: str) -> None:
    reply = post(agent, http, coloured_jpeg("red"), f"accuracy={accuracy}")
    assert code(reply) == (400, "invalid_request")


def test_an_unreachable_accuracy_names_the_highest(
    agent: Service, http: urllib3.PoolManager
) -> None:
    status, body = post(agent, http, coloured_jpeg("red"), "accuracy=0.9999")
    highest = body["error"]["highest_certifiable"]
    assert (status, body["error"]["code"]) == (422, "target_unreachable")
    assert post(agent, http, coloured_jpeg("red"), f"accuracy={highest}")[0] == 200


def test_an_unknown_task(agent: Service, http: urllib3.PoolManager) -> None:
    assert code(post(agent, http, coloured_jpeg("red"), "task=nope")) == (404, "unknown_task")


def test_a_wrong_method_says_which_is_right(agent: Service, http: urllib3.PoolManager) -> None:
    reply = http.request("GET", f"http://{agent.address}/v1/classify")
    body = json.loads(reply.data)
    assert (reply.status, body["error"]["code"]) == (405, "method_not_allowed")
    assert reply.headers["Allow"] == "POST"


def test_an_unknown_path(agent: Service, http: urllib3.PoolManager) -> None:
    reply = http.request("GET", f"http://{agent.address}/v9/nothing")
    assert (reply.status, json.loads(reply.data)["error"]["code"]) == (404, "not_found")


def test_a_slow_client_is_cut_off(agent: Service) -> None:
    with socket.create_connection(("127.0.0.1", agent.port), timeout=30) as client:
        client.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nab")
        start = time.monotonic()
        reply = client.recv(65536)
    assert reply.startswith(b"HTTP/1.1 408")
    assert time.monotonic() - start < 15


def test_a_multipart_body_with_one_good_and_one_bad_image(
    agent: Service, http: urllib3.PoolManager
) -> None:
    fields = [
        ("image", ("a.jpg", coloured_jpeg("green"), "image/jpeg")),
        ("image", ("b.jpg", b"\xff\xd8\xff broken", "image/jpeg")),
    ]
    body, content_type = urllib3.encode_multipart_formdata(fields)
    status, answer = post(agent, http, body, content_type=content_type)
    assert status == 200
    good, bad = answer["results"]
    assert good["label"] == "green"
    assert bad["error"]["code"] == "corrupt_image"


def test_a_multipart_body_with_one_image_is_answered_alone(
    agent: Service, http: urllib3.PoolManager
) -> None:
    fields = [("image", ("a.jpg", coloured_jpeg("blue"), "image/jpeg"))]
    body, content_type = urllib3.encode_multipart_formdata(fields)
    assert post(agent, http, body, content_type=content_type)[1]["label"] == "blue"


def test_a_malformed_multipart_body(agent: Service, http: urllib3.PoolManager) -> None:
    reply = post(agent, http, b"no boundary here", content_type="multipart/form-data; boundary=x")
    assert code(reply) == (400, "invalid_request")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_gets_an_answer(agent: Service, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(coloured_jpeg("red"))
    url = f"http://{agent.address}/v1/classify?accuracy=0.5"
    done = subprocess.run(
        ["curl", "-sS", "--data-binary", f"@{photo}", url],
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert json.loads(done.stdout)["label"] == "red"
