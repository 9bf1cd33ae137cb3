"""The most probable classes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.tasks.classification.prediction import most_probable


@given(st.lists(st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75]), min_size=2, max_size=80), st.data())
def test_the_top_is_in_order_and_of_equals_the_first_comes_first(
    shares: list[float], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(shares) + 3))
    found = most_probable(np.array(shares, np.float32)).top(k)
    assert found == sorted(enumerate(shares), key=lambda pair: (-pair[1], pair[0]))[:k]
