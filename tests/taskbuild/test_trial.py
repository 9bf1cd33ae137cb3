"""What is found by trial rests on mixed classes, and says how sure it is."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hawkvision.datasets import in_memory
from hawkvision.taskbuild.build import readable
from hawkvision.taskbuild.split import split_images
from hawkvision.taskbuild.trial import compare
from tests.models import LABELS
from tests.taskbuild.strangers import photos


def test_the_first_images_of_a_fitting_set_are_of_all_classes() -> None:
    images = sorted(photos(400), key=lambda image: image.label)
    by_class = {
        f"{LABELS.index(image.label)}/{index:04d}.jpg": image for index, image in enumerate(images)
    }
    listed = in_memory(
        (replace(image, name=name) for name, image in by_class.items()), sorted(LABELS)
    )
    fitting, _ = split_images(listed, None)
    first = readable(fitting)[:20]
    assert {image.label for image in first} == set(LABELS)
    assert [image.name for image in first] == [image.name for image in readable(fitting)[:20]]


def test_a_clear_lead_is_sure_and_a_narrow_one_is_not() -> None:
    sure = compare("edge", {"unit": [1.0] * 60 + [0.0] * 40, "signed": [0.0] * 100})
    assert (sure.chosen, sure.runner_up, sure.sure, sure.images) == ("signed", "unit", True, 100)
    narrow = compare("edge", {"unit": [1.0] * 2 + [0.0] * 98, "signed": [0.0] * 100})
    assert not narrow.sure and narrow.chance == 0.5
    assert "not sure: 'unit' is too close" in str(narrow) and "give normalize=" in str(narrow)
    assert json.loads(json.dumps(sure.as_dict()))["runner_up"] == "unit"


def test_of_equal_ones_the_one_whose_confidence_says_more_is_chosen() -> None:
    losses = {"imagenet": [0.0, 1.0], "unit": [0.0, 1.0]}
    assert compare("edge", losses).chosen == "imagenet"
    found = compare("edge", losses, {"imagenet": 0.2, "unit": 0.1})
    assert found.chosen == "unit" and not found.sure


@given(st.lists(st.tuples(*[st.sampled_from([0.0, 1.0])] * 3), min_size=1, max_size=50))
def test_the_best_is_chosen_and_its_chance_is_one(rows: list[tuple[float, ...]]) -> None:
    losses = {name: [row[place] for row in rows] for place, name in enumerate("abc")}
    found = compare("edge", losses)
    assert sum(losses[found.chosen]) == min(map(sum, losses.values()))
    assert found.chosen != found.runner_up and 0 <= found.chance <= 1
    assert next(iter(found.accuracy)) == found.chosen
