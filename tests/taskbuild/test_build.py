"""A stranger's pair becomes a served task; what does not fit is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from hawkvision.datasets import in_memory
from hawkvision.errors import CalibrationError, EngineError
from hawkvision.repository import Repository
from hawkvision.rungs import LoadedRung
from hawkvision.summary import images_needed, summarise_task
from hawkvision.taskbuild.build import BuildRequest, Built, Progress, build_task
from hawkvision.taskbuild.sources import ModelSource, parse_source
from tests.models import LABELS
from tests.taskbuild.strangers import (
    SMALL_LABELS,
    photos,
    write_large,
    write_nan,
    write_small,
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelSource, ModelSource]:
    folder = tmp_path_factory.mktemp("pair")
    small, large = write_small(folder), write_large(folder)
    return (
        parse_source(f"{small},labels={folder}/small.txt,fit=stretch"),
        parse_source(f"{large},labels={folder}/large.txt"),
    )


@pytest.fixture(scope="module")
def built(pair: tuple[ModelSource, ModelSource], tmp_path_factory: pytest.TempPathFactory) -> Built:
    request = BuildRequest("colours", pair, photos(), loss_levels=(0.0, 0.2))
    return build_task(request, tmp_path_factory.mktemp("repository"), Progress())


def test_both_models_answer_in_the_task_s_order(built: Built) -> None:
    task = Repository(built.task.folder.parent.parent).open("colours")
    assert task.labels == SMALL_LABELS
    for rung in task.rungs:
        loaded = LoadedRung.open(rung, task.kind, reference=task.reference(rung.name))
        assert loaded.agreement.deviation is not None and loaded.agreement.agree
        right = 0
        for image in photos(80, start=90_000):
            answer = loaded.predict([loaded.prepare(image.data)])[0]
            right += task.labels[answer.class_id] == image.label
        loaded.close()
        assert right > (50 if rung.name == "edge" else 75)


def test_what_was_not_said_was_found_out(built: Built) -> None:
    edge, dc = built.task.rungs
    assert (edge.head.output, edge.model.dtype, edge.model.layout) == (
        "probabilities",
        "uint8",
        "NHWC",
    )
    assert (dc.head.output, dc.model.dtype, dc.model.layout) == ("logits", "float32", "NCHW")
    assert dc.model.mean == (123.675, 116.28, 103.53)
    assert (edge.geometry.width, dc.geometry.width) == (32, 24)
    assert any("'imagenet' was found by trial" in note for note in built.notes)
    for rung in built.task.rungs:
        assert rung.measured["milliseconds"] > 0 and rung.measured["memory_mb"] >= 0


def test_scores_hold_every_certifying_image_at_every_level(built: Built) -> None:
    scores = built.scores
    assert len(scores) == 420 - 60
    assert scores.rung_loss.shape == (2, 2, 360)
    assert scores.edge_accuracy(1) <= scores.edge_accuracy(0) + 0.02
    summary = summarise_task(built.task, scores)
    assert [row.name for row in summary.alone] == ["edge", "dc"]
    certified = [row for row in summary.targets if row.certified]
    assert [row.escalation_rate for row in certified] == sorted(
        row.escalation_rate or 0.0 for row in certified
    )
    assert {(row.loss, row.intact_resend) for row in summary.levels} == {
        (0.0, False),
        (0.2, False),
        (0.2, True),
    }


def test_a_target_that_is_not_certified_says_what_it_would_take(built: Built) -> None:
    scores = built.scores
    worse = scores.dc_loss.copy()
    worse[:, ::12] = 1 - worse[:, ::12]
    summary = summarise_task(built.task, replace(scores, dc_loss=worse))
    reasons = {row.target: (row.images_needed, row.reason) for row in summary.targets}
    needed, reason = reasons[0.91]
    assert needed is not None and needed > len(scores) and f"{needed} images" in reason
    assert reasons[0.93] == (None, "the data center itself is right on 91.6%")


def test_calibrating_again_makes_the_next_version(
    pair: tuple[ModelSource, ModelSource], tmp_path: Path
) -> None:
    request = BuildRequest("colours", pair, photos(200), loss_levels=(0.0,), tiers=(0.5, 0.6))
    versions = [build_task(request, tmp_path, Progress()).task for _ in range(2)]
    assert [task.version for task in versions] == ["1", "2"]
    assert versions[0].tiers == (0.5, 0.6)
    first, second = (task.scores() for task in versions)
    assert (first.confidence == second.confidence).all()
    assert sorted(path.name for path in (tmp_path / "colours").iterdir()) == ["1", "2"]


def test_three_rungs_chain_in_the_data_center(
    pair: tuple[ModelSource, ModelSource], tmp_path: Path
) -> None:
    small, large = pair
    middle = replace(large, name="middle")
    request = BuildRequest(
        "colours", (small, middle, replace(large, name="big")), photos(200), loss_levels=(0.0,)
    )
    built = build_task(request, tmp_path, Progress())
    assert [rung.name for rung in built.task.rungs] == ["edge", "middle", "big"]
    assert built.task.rungs[1].threshold is not None
    assert built.task.rungs[2].threshold is None
    assert built.scores.dc_accuracy() > 0.9


def test_too_few_images_are_refused(pair: tuple[ModelSource, ModelSource], tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="20 labelled images are too few"):
        build_task(BuildRequest("colours", pair, photos(20)), tmp_path, Progress())
    assert not (tmp_path / "colours").exists()


def test_few_images_are_a_warning(built: Built) -> None:
    assert any("only 360 certifying images" in note for note in built.notes)


def test_a_class_without_images_is_a_warning(
    pair: tuple[ModelSource, ModelSource], tmp_path: Path
) -> None:
    images = photos(150, labels=("red", "blue", "grey"))
    request = BuildRequest("colours", pair, images, loss_levels=(0.0,))
    built = build_task(request, tmp_path, Progress())
    assert any("no image of 'green'" in note for note in built.notes)


def test_images_of_another_class_are_refused(
    pair: tuple[ModelSource, ModelSource], tmp_path: Path
) -> None:
    images = photos(150)
    strange = in_memory(
        (replace(image, label=image.label.replace("red", "pink")) for image in images),
        ("blue", "green", "grey", "pink"),
    )
    with pytest.raises(CalibrationError, match="'pink', which edge does not know"):
        build_task(BuildRequest("colours", pair, strange), tmp_path, Progress())


def test_another_size_than_the_file_s_is_refused(
    pair: tuple[ModelSource, ModelSource], tmp_path: Path
) -> None:
    models = (replace(pair[0], size=(64, 64)), pair[1])
    with pytest.raises(CalibrationError, match="takes 32x32 px, not the 64x64"):
        build_task(BuildRequest("colours", models, photos(150)), tmp_path, Progress())


def test_nan_is_refused_and_named(pair: tuple[ModelSource, ModelSource], tmp_path: Path) -> None:
    models = (pair[0], ModelSource(write_nan(tmp_path), labels=pair[1].labels))
    with pytest.raises(CalibrationError, match="dc answers NaN"):
        build_task(BuildRequest("colours", models, photos(150)), tmp_path, Progress())


def test_labels_of_another_language_in_the_file_are_passed_over(
    pair: tuple[ModelSource, ModelSource], tmp_path: Path
) -> None:
    model = onnx.load(write_small(tmp_path, labels=False))
    del model.graph.node[-1]
    model.graph.node[-1].output[0] = "chances"
    order = np.array([LABELS.index(label) for label in sorted(LABELS)], np.int64)
    model.graph.initializer[-1].CopyFrom(onnx.numpy_helper.from_array(order, "order"))
    onnx.helper.set_model_props(model, {"labels": '["bleu", "vert", "gris", "rouge"]'})
    onnx.save(model, tmp_path / "french.onnx")
    models = (ModelSource(tmp_path / "french.onnx", fit="stretch"), pair[1])
    request = BuildRequest("colours", models, photos(200), loss_levels=(0.0,))
    built = build_task(request, tmp_path / "out", Progress())
    assert built.task.labels == tuple(sorted(LABELS))
    assert any("passed over" in note for note in built.notes)


def test_shuffled_labels_are_noticed(tmp_path: Path) -> None:
    small, large = write_small(tmp_path, labels=False), write_large(tmp_path)
    models = (ModelSource(small), parse_source(f"{large},labels={tmp_path}/large.txt"))
    with pytest.raises(CalibrationError, match="another order"):
        build_task(BuildRequest("colours", models, photos(150)), tmp_path / "out", Progress())


@pytest.mark.parametrize("data", [b"", b"no model", b"\x08\x07" * 50])
def test_a_file_that_is_no_model_is_refused(
    pair: tuple[ModelSource, ModelSource], tmp_path: Path, data: bytes
) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    models = (ModelSource(tmp_path / "m.onnx"), pair[1])
    with pytest.raises(EngineError, match=r"m\.onnx"):
        build_task(BuildRequest("colours", models, photos(150)), tmp_path, Progress())


def test_copies_and_unreadable_images_are_left_out(
    pair: tuple[ModelSource, ModelSource], tmp_path: Path
) -> None:
    images = list(photos(160))
    spoilt = [
        replace(image, data=images[0].data, label=images[0].label)
        if index % 20 == 7
        else replace(image, data=b"\xff\xd8\xff broken")
        if index % 20 == 9
        else image
        for index, image in enumerate(images)
    ]
    request = BuildRequest("colours", pair, in_memory(spoilt, sorted(LABELS)), loss_levels=(0.0,))
    built = build_task(request, tmp_path, Progress())
    assert any("copies" in note for note in built.notes)
    assert any("do not decode" in note for note in built.notes)
    assert len(built.scores) < 110


@pytest.mark.parametrize("accuracy", [0.93, 0.94])
def test_the_number_of_images_needed_is_about_the_normal_approximation(accuracy: float) -> None:
    needed = images_needed(0.92, accuracy, 0.05)
    assert needed is not None
    normal = (1.645**2) * 0.92 * 0.08 / (accuracy - 0.92) ** 2
    assert needed == pytest.approx(normal, rel=0.1)
    assert images_needed(0.92, 0.92, 0.05) is None


def test_the_look_up_is_a_dictionary_access(built: Built) -> None:
    from hawkvision.cascade import Accuracy, CascadePolicy

    policy = CascadePolicy(built.scores, 0.5)
    assert policy.resolve(Accuracy(0.6)) is policy.resolve(Accuracy(0.6))
    assert np.isfinite(policy.resolve(Accuracy(0.6)).threshold)
