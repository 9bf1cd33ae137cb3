"""The most probable classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.tasks.classification.prediction import alone, most_probable, softmax


@given(st.lists(st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75]), min_size=2, max_size=80), st.data())
def test_the_top_is_in_order_and_of_equals_the_first_comes_first(
    shares: list[float], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(shares) + 3))
    found = most_probable(np.array(shares, np.float32)).top(k)
    assert found == sorted(enumerate(shares), key=lambda pair: (-pair[1], pair[0]))[:k]


@given(
    st.lists(
        st.floats(-80, 80, width=32) | st.sampled_from([0.5, 1.5, 2.0]), min_size=2, max_size=300
    ),
    st.floats(0.1, 5.0),
)
def test_one_image_is_answered_as_in_a_batch_bit_for_bit(
    logits: list[float], temperature: float
) -> None:
    row = np.array(logits, np.float32)
    one, batched = (
        alone(row, temperature),
        most_probable(softmax(np.stack([row, row]), temperature)[1]),
    )
    assert (one.class_id, one.confidence) == (batched.class_id, batched.confidence)
    assert one.probabilities.tobytes() == batched.probabilities.tobytes()


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_broken_output_has_no_confidence(broken: float) -> None:
    with np.errstate(invalid="ignore"):
        found = alone(np.array([0.5, broken, 1.0], np.float32), 1.0)
    assert np.isnan(found.confidence)
