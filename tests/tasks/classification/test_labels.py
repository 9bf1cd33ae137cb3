"""One order of labels for rungs and data."""

from __future__ import annotations

import numpy as np
import pytest

from hawkvision.errors import CalibrationError
from hawkvision.tasks import ModelOutputs
from hawkvision.tasks.classification import Classification
from hawkvision.tasks.classification.labels import Names, check_order, own_labels, plan_labels

FOLDERS = ("cat", "dog", "emu")


def test_orders_are_mapped_by_name() -> None:
    plan = plan_labels(
        [Names("edge", ("dog", "emu", "cat")), Names("dc", ("ape", "cat", "dog", "emu"))],
        ("d1", "cat", "emu"),
        {"d1": "dog"},
        restrict=False,
    )
    assert plan.labels == ("dog", "emu", "cat")
    assert plan.selects == ((), (2, 3, 1))
    assert plan.notes == ("dc: 1 of its outputs are left out",)


def test_a_class_that_a_rung_lacks_is_named() -> None:
    with pytest.raises(CalibrationError, match="dc does not know 'emu'"):
        plan_labels(
            [Names("edge", FOLDERS), Names("dc", ("cat", "dog"))], FOLDERS, {}, restrict=False
        )
    with pytest.raises(CalibrationError, match="'fox', which edge does not know"):
        plan_labels(
            [Names("edge", FOLDERS), Names("dc", FOLDERS)], (*FOLDERS, "fox"), {}, restrict=False
        )


def test_a_class_without_images_is_a_warning_or_left_out() -> None:
    rungs = [Names("edge", FOLDERS), Names("dc", FOLDERS)]
    plan = plan_labels(rungs, ("cat", "dog"), {}, restrict=False)
    assert plan.labels == FOLDERS and "no image of 'emu'" in plan.notes[0]
    plan = plan_labels(rungs, ("cat", "dog"), {}, restrict=True)
    assert plan.labels == ("cat", "dog") and plan.selects == ((0, 1), (0, 1))


def test_unnamed_outputs_are_the_sorted_folders_if_the_number_fits() -> None:
    labels, warning = own_labels("edge", None, 3, FOLDERS)
    assert labels == FOLDERS and warning is not None and "sorted" in warning
    with pytest.raises(CalibrationError, match="4 outputs, the data 3"):
        own_labels("edge", None, 4, FOLDERS)
    with pytest.raises(CalibrationError, match="3 outputs but 2 labels"):
        own_labels("edge", ("a", "b"), 3, FOLDERS)


def test_shuffled_names_and_guessing_are_noticed() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 300)
    guess = np.where(rng.random(300) < 0.9, truth, (truth + 1) % 5)
    check_order("edge", guess, truth, 5)
    with pytest.raises(CalibrationError, match="another order"):
        check_order("edge", (guess + 2) % 5, truth, 5)
    with pytest.raises(CalibrationError, match="most frequent"):
        check_order("edge", rng.integers(0, 5, 300), truth, 5)


def test_a_plan_knows_the_truth_of_every_folder() -> None:
    models = [
        ModelOutputs("edge", 3, ("dog", "emu", "cat")),
        ModelOutputs("dc", 4, ("ape", "cat", "dog", "emu"), settings={"output": "probabilities"}),
    ]
    plan = Classification.plan(models, ("d1", "cat", "emu"), {"d1": "dog"}, restrict=False)
    assert [plan.kind.truth(folder) for folder in ("d1", "cat", "emu", "dog")] == [0, 2, 1, 0]
    assert [head.output for head in plan.heads] == ["logits", "probabilities"]
    assert plan.heads[1].select == (2, 3, 1)


def test_labels_that_an_exporter_left_count_only_if_they_are_the_data_s() -> None:
    models = [ModelOutputs("edge", 3, ("x", "y", "z"), labels_from_file=True)]
    plan = Classification.plan(models, FOLDERS, {}, restrict=False)
    assert plan.kind.labels == FOLDERS and "passed over" in plan.notes[0]
