"""Request ids that carry their facts, and cannot be made up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hawkvision.tracking.receipts import Receipt, issue, verify

KEY, OTHER = b"k" * 32, b"o" * 32
receipts = st.builds(
    Receipt,
    number=st.integers(0, 2**64 - 1),
    time_s=st.integers(0, 2**32 - 1),
    task=st.text(max_size=15),
    app=st.text(max_size=15),
    target=st.sampled_from(["0.9", "0.955", "relative:0.02"]),
    answer=st.binary(max_size=64),
    edge=st.binary(max_size=64),
    escalated=st.booleans(),
    confidence=st.floats(0, 1, width=32),
)


@given(receipts)
def test_an_id_says_what_was_put_in(receipt: Receipt) -> None:
    request_id = issue(receipt, KEY)
    assert verify(request_id, OTHER, KEY) == receipt
    assert verify(request_id, OTHER) is None
    assert request_id.replace("-", "").replace("_", "").isalnum()


@given(receipts, st.integers(0, 1000), st.integers(1, 255))
def test_a_changed_id_is_refused(receipt: Receipt, place: int, change: int) -> None:
    import base64

    text = issue(receipt, KEY)
    raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    raw[place % len(raw)] ^= change
    changed = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
    assert verify(changed, KEY) is None


@given(st.text(max_size=300))
def test_any_other_text_is_no_receipt(text: str) -> None:
    assert verify(text, KEY) is None
