"""Requests as (path, query, body, headers). Knows nothing of sockets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import orjson
from urllib3 import encode_multipart_formdata

from hawkvision.errors import InvalidRequest

DEFAULT_URL = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that is ready to be sent."""

    path: str
    body: bytes
    content_type: str


def base_url(url: str) -> str:
    """The agent's URL without a slash at the end; `HOST:PORT` alone means HTTP."""
    return (url if "://" in url else f"http://{url}").rstrip("/")


def task_path(name: str) -> str:
    """The path that describes a task, whatever its name holds."""
    return f"/v1/tasks/{quote(name, safe='')}"


def stream_path(stream_id: str) -> str:
    """The path of a lossy stream."""
    return f"/v1/streams/{quote(stream_id, safe='')}"


def curve_path(name: str, link_ms: float) -> str:
    """The path of a task's curve."""
    return f"{task_path(name)}/curve?link_ms={link_ms:g}"


def delivered_path(task: str | None, app: str | None) -> str:
    """The path of a task's or an app's delivered accuracy. Raises InvalidRequest."""
    if app is not None:
        return f"/v1/apps/{quote(app, safe='')}/accuracy"
    if task is None:
        raise InvalidRequest("name a task or an app")
    return f"{task_path(task)}/accuracy"


def feedback_body(request_id: str, label: str | int) -> bytes:
    """The JSON body of feedback."""
    key = "label" if isinstance(label, str) else "class_id"
    return orjson.dumps({"request_id": request_id, key: label})


def read(image: bytes | Path) -> bytes:
    """The encoded bytes of an image given as bytes or as a path."""
    return image.read_bytes() if isinstance(image, Path) else image


def prepare(
    images: Sequence[bytes | Path],
    *,
    accuracy: float | str | None,
    deadline_ms: float | None,
    top_k: int | None,
    task: str | None,
    app: str | None,
) -> Prepared:
    """A classification of one image (raw body) or many (multipart)."""
    given = {
        "accuracy": accuracy,
        "deadline_ms": deadline_ms,
        "top_k": top_k,
        "task": task,
        "app": app,
    }
    query = urlencode({name: value for name, value in given.items() if value is not None})
    path = "/v1/classify" + (f"?{query}" if query else "")
    if len(images) == 1:
        return Prepared(path, read(images[0]), "application/octet-stream")
    fields = [
        ("image", (f"image-{index}", read(image), "application/octet-stream"))
        for index, image in enumerate(images)
    ]
    body, content_type = encode_multipart_formdata(fields)
    return Prepared(path, body, content_type)
