"""The integer network is what its formulas say, whatever computes it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fpga.network.layers import Conv, Requant
from hawkvision.errors import EngineError
from tests.fpga.networks import conv_for, images, random_network

any_speed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@settings(any_speed, max_examples=30)
@given(st.data())
def test_a_convolution_is_the_sum_over_its_window(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    side = data.draw(st.integers(3, 7))
    kernel, stride = data.draw(st.sampled_from([(3, 1), (3, 2), (1, 1), (1, 2)]))
    x = rng.integers(0, 16, (2, side, side, 3))
    conv = conv_for(x, 2, rng, kernel=kernel, stride=stride)
    sums = conv.sums(x)
    padded = np.pad(x, ((0, 0), (conv.padding,) * 2, (conv.padding,) * 2, (0, 0)))
    for y in range(conv.out_side(side)):
        for column in range(conv.out_side(side)):
            window = padded[
                :, y * stride : y * stride + kernel, column * stride : column * stride + kernel
            ]
            by_hand = np.einsum("nyxc,ocyx->no", window, conv.weights.astype(np.int64))
            assert np.array_equal(sums[:, y, column], by_hand)


@any_speed
@given(
    st.integers(-(10**6), 10**6),
    st.integers(0, 5000),
    st.integers(-(10**8), 10**8),
    st.integers(0, 20),
    st.booleans(),
)
def test_a_requantizer_rounds_down_and_clips(
    x: int, multiplier: int, bias: int, shift: int, signed: bool
) -> None:
    requant = Requant(np.array([multiplier]), np.array([bias]), shift, 4, signed)
    low, high = (-8, 7) if signed else (0, 15)
    exact = (x * multiplier + bias) // (1 << shift)
    assert int(requant(np.array([x]))[0]) == min(high, max(low, exact))


def test_weights_beyond_the_symmetric_range_are_refused() -> None:
    requant = Requant(np.ones(1, np.int64), np.zeros(1, np.int64), 0, 4)
    with pytest.raises(EngineError, match=r"-7\.\.7"):
        Conv("c", np.full((1, 1, 1, 1), -8, np.int8), 4, 1, 4, False, requant)


def test_sums_fit_the_bits_that_hardware_gives_them() -> None:
    rng = np.random.default_rng(1)
    x = np.full((1, 5, 5, 4), 15)
    conv = conv_for(x, 3, rng)
    worst = Conv("w", np.full_like(conv.weights, 7), 4, 1, 4, False, conv.requant)
    top = int(worst.sums(x).max())
    assert top < 1 << (worst.accumulator_bits - 1)
    assert top >= 1 << (worst.accumulator_bits - 2)


def test_streams_stay_within_eight_bits_and_are_used() -> None:
    network = random_network(8, (4, 8), 2, seed=3)
    for stream in network.streams(images(6, 8, np.random.default_rng(2))):
        assert stream.min() >= 0 and stream.max() <= 255
        assert len(np.unique(stream)) > 60
