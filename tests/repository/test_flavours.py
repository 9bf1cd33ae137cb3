"""Flavours: what one engine wants lies beside the plain files, with a certificate of its own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hawkvision.engines import flavour_of
from hawkvision.errors import CalibrationError, RepositoryError
from hawkvision.repository import Repository, Task, read_task, write_task
from hawkvision.repository.flavours import add_flavours, flavour_tables
from hawkvision.repository.index import build_index
from hawkvision.repository.pull import other_rungs
from hawkvision.rungs import LoadedRung
from hawkvision.taskbuild.flavour import add_flavour, lay_beside
from models.recipes.references import add_references
from tests.models import SIDE, build_tiny_repository


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Task]:
    """The tiny task with a flavour `fast`, whose edge sees a larger corner; its dc is the same."""
    root = build_tiny_repository(tmp_path_factory.mktemp("plain"))
    other = build_tiny_repository(tmp_path_factory.mktemp("fast"), (11, SIDE))
    task = add_references(Repository(root).open("tiny"), "onnx")
    flavour = add_references(Repository(other).open("tiny"), "onnx")
    return root, lay_beside(task, flavour, "fast")


@pytest.fixture
def task(made: tuple[Path, Task]) -> Task:
    return made[1]


def test_a_flavour_has_files_and_a_certificate_of_its_own(task: Task) -> None:
    fast = task.as_flavour("fast")
    assert (fast.flavour, fast.rungs[0].model.path.name) == ("fast", "edge.fast.onnx")
    assert fast.calibration.name == "calibration.fast.npz"
    assert fast.scores().edge_accuracy() != task.scores().edge_accuracy()


def test_a_file_that_is_the_same_is_shared(task: Task) -> None:
    assert task.as_flavour("fast").rungs[1] == task.rungs[1]
    assert not (task.folder / "dc.fast.onnx").exists()


def test_an_engine_that_wants_no_flavour_here_gets_the_plain_files(task: Task) -> None:
    assert task.as_flavour(flavour_of("onnx")) is task
    assert flavour_of("tensorrt") == "tensorrt"


def test_the_repository_opens_the_flavour_that_is_asked_for(made: tuple[Path, Task]) -> None:
    repository = Repository(made[0])
    assert repository.open("tiny", flavour="fast").flavour == "fast"
    assert repository.open("tiny", flavour="other").flavour == ""
    assert repository.open("tiny", "1", flavour="fast").flavour == "fast"


def test_writing_what_was_read_changes_nothing(task: Task) -> None:
    before = (task.folder / "task.toml").read_bytes()
    write_task(read_task(task.folder))
    assert (task.folder / "task.toml").read_bytes() == before


def test_each_flavour_answers_its_own_references(task: Task) -> None:
    fast = task.as_flavour("fast")
    for one, reference, agrees in (
        (task, task, True),
        (fast, fast, True),
        (fast, task, False),
    ):
        rung = one.rungs[0]
        loaded = LoadedRung.open(rung, one.kind, reference=reference.reference(rung.name))
        loaded.close()
        assert loaded.agreement.agree is agrees


def test_an_edge_below_another_flavour_rests_on_that_ones_answers(task: Task) -> None:
    fast = task.as_flavour("fast")
    mixed = fast.below("")
    scores, plain = mixed.scores(), task.scores()
    np.testing.assert_array_equal(scores.rung_loss[:, 0], fast.scores().rung_loss[:, 0])
    np.testing.assert_array_equal(scores.rung_loss[:, 1], plain.rung_loss[:, 1])
    np.testing.assert_array_equal(scores.dc_loss, plain.dc_loss)
    assert (mixed.flavour, mixed.dc_flavour) == ("fast", "")
    assert mixed.rungs[0] == fast.rungs[0] and mixed.rungs[1] == task.rungs[1]


def test_below_its_own_flavour_a_task_is_itself(task: Task) -> None:
    fast = task.as_flavour("fast")
    assert task.below("") is task and fast.below("fast") is fast
    assert task.below("unknown") is task and task.below("fast").dc_flavour == "fast"


def test_scores_of_other_images_are_not_mixed(task: Task) -> None:
    scores = task.scores()
    other = replace(scores, image_bytes=scores.image_bytes + 1)
    with pytest.raises(CalibrationError, match="not of the same images"):
        scores.below(other)


def test_a_damaged_flavour_does_not_serve_and_the_plain_task_does(
    made: tuple[Path, Task], tmp_path: Path
) -> None:
    root = Path(shutil.copytree(made[0], tmp_path / "root"))
    (root / "tiny" / "1" / "edge.fast.onnx").write_bytes(b"not it")
    assert Repository(root).open("tiny").flavour == ""
    with pytest.raises(RepositoryError, match="digest"):
        Repository(root).open("tiny", flavour="fast")


def test_the_index_holds_the_flavours_files_and_misses_those_that_are_gone(
    made: tuple[Path, Task], tmp_path: Path
) -> None:
    root = Path(shutil.copytree(made[0], tmp_path / "root"))
    names = {file.name for file in build_index(root)["tiny"]["1"]}
    assert {"edge.fast.onnx", "calibration.fast.npz"} <= names


def test_an_edge_that_pulls_its_rung_gets_its_flavours_and_no_more(made: tuple[Path, Task]) -> None:
    table = made[1].folder / "task.toml"
    assert other_rungs(table, ["dc"]) == {"edge.onnx", "edge.fast.onnx"}
    assert other_rungs(table, ["edge"]) == {"dc.onnx"}


def test_add_flavour_writes_the_next_version(made: tuple[Path, Task], tmp_path: Path) -> None:
    root = Path(shutil.copytree(made[0], tmp_path / "root"))
    task = read_task(root / "tiny" / "1")
    after = add_flavour(task, task.as_flavour("fast"), "faster")
    assert after.version == "2" and set(after.flavours) == {"fast", "faster"}
    assert set(read_task(root / "tiny" / "1").flavours) == {"fast"}


def test_a_task_ofother_rungs_is_no_flavour(task: Task) -> None:
    other = replace(task.as_flavour("fast"), rungs=task.rungs[:1])
    with pytest.raises(CalibrationError, match="rungs"):
        lay_beside(task, other, "odd")


@pytest.mark.parametrize("name", ["", "UP", "a b", "../x", "x" * 41])
def test_what_is_no_name_of_a_flavour_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a flavour"):
        flavour_tables({"rungs": [{"flavours": {name: {}}}]})


def test_unknown_parts_of_a_certificate_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown key"):
        flavour_tables({"rungs": [], "flavours": {"fast": {"labels": []}}})


def test_what_a_flavour_lacks_is_taken_away() -> None:
    plain = {"rungs": [{"name": "edge", "file": "a", "weights": {"a.data": "1"}}]}
    table = {"rungs": [{"name": "edge", "file": "b"}]}
    add_flavours(plain, {"fast": table})
    (rung,) = flavour_tables(plain)["fast"]["rungs"]
    assert (rung["file"], rung["weights"]) == ("b", {})
