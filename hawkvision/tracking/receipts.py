"""Request ids that carry what feedback needs to know, so that no request has to be remembered.

An id is the request's facts and a keyed hash over them (BLAKE2b, RFC 7693) in URL-safe base 64.
Feedback with a changed or foreign id fails the hash; the same id twice is caught by the store,
which remembers only ids that feedback came for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from functools import lru_cache
from typing import NamedTuple

_FACTS = struct.Struct(">BIQBfdBBHH")
_VERSION = 2
_MAC_BYTES = 8
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_LONGEST = 400


class Receipt(NamedTuple):
    """One answered request.

    `number` is unique; `answer` is what was answered and `edge` what the edge said, each as the
    task's kind keeps it in brief (at most 64 bytes); `target` is the text of the accuracy target
    as it is counted; `time_s` is in whole seconds since the epoch.
    """

    number: int
    time_s: int
    task: str
    app: str
    target: str
    answer: bytes
    edge: bytes
    escalated: bool
    confidence: float


@lru_cache(maxsize=1024)
def _target_number(target: str) -> float:
    """Relative targets as negative numbers."""
    relative = target.startswith("relative:")
    return -float(target[9:]) if relative else float(target)


def _target_text(number: float) -> str:
    return f"relative:{-number:g}" if number < 0 else f"{number:g}"


def issue(receipt: Receipt, key: bytes) -> str:
    """The request id of a receipt. `key` has 16 to 64 bytes."""
    task, app = receipt.task.encode(), receipt.app.encode()
    facts = _FACTS.pack(
        _VERSION,
        receipt.time_s,
        receipt.number,
        receipt.escalated,
        receipt.confidence,
        _target_number(receipt.target),
        len(receipt.answer),
        len(receipt.edge),
        len(task),
        len(app),
    )
    body = facts + receipt.answer + receipt.edge + task + app
    mac = hashlib.blake2b(body, key=key, digest_size=_MAC_BYTES).digest()
    text = binascii.b2a_base64(body + mac, newline=False)
    return text.translate(_URL_SAFE, b"=").decode()


def verify(request_id: str, *keys: bytes) -> Receipt | None:
    """The receipt of an id that one of `keys` issued; None for any other text."""
    if len(request_id) > _LONGEST:
        return None
    try:
        raw = base64.urlsafe_b64decode(request_id.encode("ascii") + b"=" * (-len(request_id) % 4))
    except (binascii.Error, UnicodeEncodeError, ValueError):
        return None
    body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    known = (hashlib.blake2b(body, key=key, digest_size=_MAC_BYTES).digest() for key in keys)
    if len(body) < _FACTS.size or not any(hmac.compare_digest(mac, one) for one in known):
        return None
    version, time_s, number, escalated, confidence, target, *sizes = _FACTS.unpack_from(body)
    if version != _VERSION or len(body) != _FACTS.size + sum(sizes):
        return None
    parts, start = [], _FACTS.size
    for size in sizes:
        parts.append(body[start : start + size])
        start += size
    answer, edge, task, app = parts
    return Receipt(
        number=number,
        time_s=time_s,
        task=task.decode(),
        app=app.decode(),
        target=_target_text(target),
        answer=answer,
        edge=edge,
        escalated=bool(escalated),
        confidence=confidence,
    )
