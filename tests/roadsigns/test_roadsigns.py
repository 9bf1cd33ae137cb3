"""The roadsigns renderer: reproducible, correctly labelled, and as hard as asked."""

from __future__ import annotations

import dataclasses
import itertools
import pickle
from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from hawkvision.roadsigns import (
    CLASSES,
    STANDARD,
    Difficulty,
    draw_label,
    render,
    sample,
    stream,
)

CLEAN = Difficulty()
KNOBS = [field.name for field in dataclasses.fields(Difficulty)]


def distance(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """Mean absolute difference in grey levels."""
    return float(np.abs(a.astype(np.float32) - b.astype(np.float32)).mean())


def test_catalogue_has_unique_snake_case_labels() -> None:
    assert 28 <= len(CLASSES) <= 36
    assert len(set(CLASSES)) == len(CLASSES)
    assert all(label.replace("_", "").isalnum() and label.islower() for label in CLASSES)


def test_same_seed_gives_same_pixels() -> None:
    for class_id, seed in ((0, 0), (12, 7), (35, 2**62)):
        assert np.array_equal(render(class_id, seed), render(class_id, seed))


def test_other_seed_gives_other_pixels() -> None:
    assert distance(render(3, 1), render(3, 2)) > 1.0


def test_random_access_equals_stream() -> None:
    streamed = list(stream(6, seed=11, start=40))
    assert streamed == [sample(index, seed=11) for index in range(40, 46)]
    assert streamed[3] == sample(43, seed=11)


def test_different_seeds_give_different_streams() -> None:
    first = {s.jpeg for s in stream(10, seed=1)}
    second = {s.jpeg for s in stream(10, seed=2)}
    assert not first & second


def test_stream_is_lazy_and_can_be_empty() -> None:
    assert list(stream(0)) == []
    endless = stream(10**9, seed=4)
    assert next(endless) == sample(0, seed=4)


def test_sample_describes_its_jpeg() -> None:
    drawn = sample(5, seed=3, size=80)
    pixels = simplejpeg.decode_jpeg(drawn.jpeg, colorspace="RGB")
    assert pixels.shape == (80, 80, 3)
    assert drawn.size == 80
    assert drawn.label == CLASSES[drawn.class_id]
    assert (drawn.class_id, drawn.seed) == draw_label(5, seed=3)
    assert set(KNOBS) < set(drawn.conditions)
    assert 8 <= drawn.conditions["jpeg_quality"] <= 95
    assert 0 < drawn.conditions["sign_pixels"] < 80


def test_render_gives_the_pixels_of_a_sample_before_compression() -> None:
    drawn = sample(9, seed=3, difficulty=CLEAN)
    pixels = simplejpeg.decode_jpeg(drawn.jpeg, colorspace="RGB")
    assert distance(pixels, render(drawn.class_id, drawn.seed, difficulty=CLEAN)) < 4.0


def test_samples_travel_between_processes() -> None:
    drawn = sample(1)
    assert pickle.loads(pickle.dumps(drawn)) == drawn


def test_every_class_has_its_own_face() -> None:
    faces = [render(class_id, 5, difficulty=CLEAN) for class_id in range(len(CLASSES))]
    closest = min(distance(a, b) for a, b in itertools.combinations(faces, 2))
    assert closest > 1.0


def test_clean_signs_are_upright_centred_and_of_the_right_colour() -> None:
    def middle(label: str) -> list[int]:
        pixels = render(CLASSES.index(label), 8, difficulty=CLEAN)
        return [int(channel) for channel in pixels[48, 48]]

    red, green, blue = middle("priority_road")
    assert red > 200 and green > 150 and blue < 80
    red, green, blue = middle("no_parking")
    assert red > 120 and green < 90 and blue < 90
    red, green, blue = middle("straight_ahead")
    assert min(red, green, blue) > 190
    red, green, blue = middle("bend_left")
    assert max(red, green, blue) < 90


def test_clean_samples_apply_no_effect() -> None:
    for drawn in stream(20, seed=6, difficulty=CLEAN):
        assert all(drawn.conditions[knob] == 0.0 for knob in KNOBS)
        assert drawn.conditions["jpeg_quality"] == 95


@pytest.mark.parametrize("knob", [knob for knob in KNOBS if knob != "compression"])
def test_each_knob_changes_the_picture(knob: str) -> None:
    only = dataclasses.replace(CLEAN, **{knob: 1.0})
    changes = [
        distance(render(4, seed, difficulty=only), render(4, seed, difficulty=CLEAN))
        for seed in range(12)
    ]
    assert max(changes) > 1.0


def test_compression_lowers_the_jpeg_quality() -> None:
    only = Difficulty(compression=1.0)
    qualities = [s.conditions["jpeg_quality"] for s in stream(30, difficulty=only)]
    assert min(qualities) < 50 < max(qualities)
    small = sum(len(s.jpeg) for s in stream(30, difficulty=only))
    assert small < sum(len(s.jpeg) for s in stream(30, difficulty=CLEAN))


def test_more_difficulty_is_less_like_the_clean_sign() -> None:
    levels = (0.25, 0.5, 1.0, 1.5)
    mean = [
        np.mean(
            [
                distance(
                    render(seed % len(CLASSES), seed, difficulty=STANDARD.scaled(level)),
                    render(seed % len(CLASSES), seed, difficulty=CLEAN),
                )
                for seed in range(72)
            ]
        )
        for level in levels
    ]
    assert mean == sorted(mean)


def test_strengths_grow_with_the_scale_sample_by_sample() -> None:
    for index in range(20):
        mild = sample(index, difficulty=STANDARD).conditions
        hard = sample(index, difficulty=STANDARD.scaled(1.3)).conditions
        assert all(hard[knob] >= mild[knob] for knob in KNOBS)
        assert hard["sign_pixels"] <= mild["sign_pixels"]


def test_classes_are_balanced() -> None:
    counts = Counter(draw_label(index, seed=1)[0] for index in range(3000))
    assert set(counts) == set(range(len(CLASSES)))
    expected = 3000 / len(CLASSES)
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_square < 70  # 99.9th percentile of chi-square with 35 degrees of freedom: 66.6


@pytest.mark.parametrize("class_id", [-1, len(CLASSES)])
def test_unknown_class_is_refused(class_id: int) -> None:
    with pytest.raises(ValueError, match=str(class_id)):
        render(class_id, 0)


@pytest.mark.parametrize("size", [0, 31, 513])
def test_bad_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"got {size}"):
        render(0, 0, size=size)
    with pytest.raises(ValueError, match=f"got {size}"):
        stream(1, size=size)


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="seed must be >= 0, got -3"):
        render(0, -3)
    with pytest.raises(ValueError, match="seed must be >= 0, got -4"):
        sample(0, seed=-4)
    with pytest.raises(ValueError, match="index must be >= 0, got -5"):
        sample(-5)
    with pytest.raises(ValueError, match="count must be >= 0, got -6"):
        stream(-6)
    with pytest.raises(ValueError, match="start must be >= 0, got -7"):
        stream(1, start=-7)


@pytest.mark.parametrize("level", [-0.5, float("nan"), float("inf")])
def test_bad_difficulty_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match=f"got {level}"):
        Difficulty.uniform(level)


def test_scaling_multiplies_every_knob() -> None:
    assert Difficulty.uniform(0.5).scaled(2.0) == Difficulty.uniform(1.0)
    assert STANDARD.scaled(0.0) == CLEAN


@settings(max_examples=40, deadline=None)
@given(
    class_id=st.integers(0, len(CLASSES) - 1),
    seed=st.integers(0, 2**63 - 1),
    size=st.integers(32, 256),
    level=st.floats(0.0, 50.0),
)
def test_any_arguments_give_an_rgb_crop(class_id: int, seed: int, size: int, level: float) -> None:
    pixels = render(class_id, seed, difficulty=Difficulty.uniform(level), size=size)
    assert pixels.shape == (size, size, 3)
    assert pixels.dtype == np.uint8
