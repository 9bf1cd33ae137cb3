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
from dataclasses import dataclass

_FACTS = struct.Struct(">BIQiiBfdHH")
_VERSION = 1
_MAC_BYTES = 8
_LONGEST = 400


@dataclass(frozen=True, slots=True)
class Receipt:
    """One answered request.

    `number` is unique; `class_id` is what was answered, `edge_class_id` what the edge said;
    `target` is the text of the accuracy target, to six digits; `time_s` is in whole seconds
    since the epoch.
    """

    number: int
    time_s: int
    task: str
    app: str
    target: str
    class_id: int
    edge_class_id: int
    escalated: bool
    confidence: float


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
        receipt.class_id,
        receipt.edge_class_id,
        receipt.escalated,
        receipt.confidence,
        _target_number(receipt.target),
        len(task),
        len(app),
    )
    body = facts + task + app
    mac = hashlib.blake2b(body, key=key, digest_size=_MAC_BYTES).digest()
    return base64.urlsafe_b64encode(body + mac).rstrip(b"=").decode()


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
    version, time_s, number, class_id, edge, escalated, confidence, target, task, app = (
        _FACTS.unpack_from(body)
    )
    names = body[_FACTS.size :]
    if version != _VERSION or len(names) != task + app:
        return None
    return Receipt(
        number=number,
        time_s=time_s,
        task=names[:task].decode(),
        app=names[task:].decode(),
        target=_target_text(target),
        class_id=class_id,
        edge_class_id=edge,
        escalated=bool(escalated),
        confidence=confidence,
    )
