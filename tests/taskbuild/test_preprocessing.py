"""Hugging Face's `preprocessor_config.json`: what it states is taken, what it cannot is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.taskbuild.inspect import ModelFacts
from hawkvision.taskbuild.outputs import Output
from hawkvision.taskbuild.planning import plan_task
from hawkvision.taskbuild.preprocessing import NAME, parse_preprocessing, stated
from hawkvision.taskbuild.report.calibration import is_warning
from hawkvision.taskbuild.sources import ModelSource, parse_source
from tests.taskbuild.strangers import photos, write_large, write_small

VIT = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "ViTImageProcessor",
    "image_std": [0.5, 0.5, 0.5],
    "resample": 2,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": 224, "width": 320},
}
CLIP = {
    "crop_size": {"height": 224, "width": 224},
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": {"shortest_edge": 224},
}
MOBILENET = {
    **CLIP,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 2,
    "size": {"shortest_edge": 256},
}
CONVNEXT = {
    "crop_pct": 0.875,
    "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
    "size": {"shortest_edge": 224},
}
MOBILEVIT = {
    "crop_size": {"height": 256, "width": 256},
    "do_center_crop": True,
    "do_flip_channel_order": True,
    "do_resize": True,
    "do_rescale": True,
    "resample": 2,
    "rescale_factor": 0.00392156862745098,
    "size": {"shortest_edge": 256},
}
RAW = {**VIT, "do_rescale": False, "image_mean": [0] * 3, "image_std": [1] * 3}
OLD = {"do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": 224}
FACTS = ModelFacts("NCHW", "float32", None, None, (Output("y", "tensor(float)", (1, 4)),), None)


@pytest.mark.parametrize(
    ("raw", "normalization", "size", "fit", "ignored"),
    [
        (VIT, "signed", (320, 224), "stretch", []),
        (CLIP, "stated", (224, 224), "cover", ["resample 3 (bicubic"]),
        (MOBILENET, "imagenet", (224, 224), "cover", ["the centre crop of 87.5%"]),
        (CONVNEXT, "imagenet", (224, 224), "cover", ["the centre crop of 87.5%", "resample 3"]),
        (MOBILEVIT, "unit", (256, 256), "cover", []),
        (OLD, "signed", (224, 224), "stretch", []),
        (RAW, "pixels", (320, 224), "stretch", []),
        ({**VIT, "do_normalize": False}, "unit", (320, 224), "stretch", []),
        ({**VIT, "do_pad": True}, "signed", (320, 224), "stretch", ["do_pad"]),
    ],
    ids=["vit", "clip", "mobilenet", "convnext", "mobilevit", "old", "raw", "unit", "pad"],
)
def test_what_image_processors_write_is_read(
    raw: dict[str, Any], normalization: str, size: tuple[int, int], fit: str, ignored: list[str]
) -> None:
    found = parse_preprocessing(raw)
    assert found.normalization is not None and found.normalization.name == normalization
    assert (found.size, found.fit) == (size, fit)
    assert len(found.ignored) == len(ignored)
    for said in ignored:
        assert any(one.startswith(said) for one in found.ignored)
    assert found.channels == ("BGR" if raw is MOBILEVIT else None)


def test_means_are_those_of_the_pixels_that_the_processor_would_give() -> None:
    found = parse_preprocessing(CLIP).normalization
    assert found is not None
    pixel = np.array([10.0, 128.0, 250.0])
    theirs = (pixel / 255 - np.array(CLIP["image_mean"])) / np.array(CLIP["image_std"])
    assert (pixel - np.array(found.mean)) / np.array(found.std) == pytest.approx(theirs, abs=1e-5)
    turned = parse_preprocessing({**CLIP, "do_flip_channel_order": True}).normalization
    assert turned is not None and turned.mean == found.mean[::-1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image_mean": [0.5, 0.5]}, "image_mean has 2 numbers"),
        ({"image_std": [0.5, 0, 0.5]}, "image_std is not above 0"),
        ({"image_std": ["a"] * 3}, "image_std a is no usual number"),
        ({"image_mean": [float("nan")] * 3}, "image_mean nan is no usual number"),
        ({"rescale_factor": 0}, "rescale_factor is not above 0"),
        ({"rescale_offset": True}, "rescale_offset is not supported"),
        ({"size": {"longest_edge": 224}}, "size has the keys longest_edge"),
        ({"size": {"height": 0, "width": 8}}, "size 0 is not a side"),
        ({"resample": 9}, "resample 9 is none"),
        ({"do_normalize": "yes"}, "do_normalize yes is neither"),
    ],
)
def test_a_field_that_cannot_be_right_is_named_and_nothing_is_taken(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    (tmp_path / NAME).write_text(json.dumps({**VIT, **change}))
    source = ModelSource(tmp_path / "x.onnx")
    known, (note,) = stated("edge", source, FACTS)
    assert known == source
    assert note.startswith(f"edge: {NAME} is not used: ") and said in note and "\n" not in note
    assert is_warning(note)


@pytest.mark.parametrize("text", ["", "[1]", "{", '"x"', "[" * 100_000])
def test_a_file_that_is_none_is_a_line(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    _, notes = stated("edge", ModelSource(tmp_path / "x.onnx"), FACTS)
    assert len(notes) == 1 and "is not used" in notes[0] and "\n" not in notes[0]


def test_without_a_file_nothing_is_said(tmp_path: Path) -> None:
    source = ModelSource(tmp_path / "x.onnx")
    assert stated("edge", source, FACTS) == (source, ())


def test_what_the_user_or_the_model_says_counts_for_more(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(json.dumps({**MOBILEVIT, **VIT}))
    told = parse_source(f"{tmp_path}/x.onnx,normalize=unit,size=96,fit=cover,channels=RGB")
    assert stated("edge", told, FACTS)[0] == told
    known, notes = stated("edge", ModelSource(tmp_path / "x.onnx"), replace(FACTS, width=96))
    assert known.size is None and any("size 256x256" in note and "96x?" in note for note in notes)
    known, notes = stated("edge", ModelSource(tmp_path / "x.onnx"), replace(FACTS, dtype="uint8"))
    assert known.normalization is None and any("uint8 pixels" in note for note in notes)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["height", "width", "shortest_edge", "longest_edge"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*VIT, *CLIP, *MOBILEVIT, "crop_pct"]), _JSON))
def test_any_object_is_read_or_refused(raw: dict[str, Any]) -> None:
    try:
        found = parse_preprocessing({**raw})
    except ValueError as error:
        assert str(error)
        return
    if found.normalization is not None:
        assert min(found.normalization.std) > 0
        assert all(np.isfinite([*found.normalization.mean, *found.normalization.std]))
    assert found.size is None or min(found.size) > 0


def test_it_takes_the_place_of_the_trial(tmp_path: Path) -> None:
    edge = write_small(tmp_path)
    (tmp_path / "hub" / "onnx").mkdir(parents=True)
    large = write_large(tmp_path).rename(tmp_path / "hub" / "onnx" / "large.onnx")
    side = {"height": 24, "width": 24}
    (tmp_path / "hub" / NAME).write_text(json.dumps({**VIT, "size": side}))
    models = [
        parse_source(f"{edge},labels={tmp_path}/small.txt"),
        parse_source(f"{large},labels={tmp_path}/large.txt"),
    ]
    plan = plan_task("classification", ["edge", "dc"], models, photos(100), {}, tmp_path / "new")
    feedings = [rung.feedings for rung in plan.rungs]
    assert feedings[0][0].geometry.fit == "cover"
    assert [one.name for one in feedings[1]] == ["signed"]
    assert feedings[1][0].geometry.fit == "stretch"
    assert f"dc: {NAME} says normalisation 'signed', fit stretch" in plan.notes
