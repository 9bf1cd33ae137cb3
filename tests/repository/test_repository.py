"""Tasks on disk: versions, digests, damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hawkvision.errors import RepositoryError, UnknownTask
from hawkvision.repository import Repository, read_task, shipped_repository, write_task
from hawkvision.repository.repository import version_key
from tests.models import build_tiny_repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(build_tiny_repository(tmp_path))


def test_writing_what_was_read_changes_nothing(repository: Repository) -> None:
    file = repository.root / "tiny" / "1" / "task.toml"
    before = file.read_text()
    write_task(read_task(file.parent))
    assert file.read_text() == before


def test_the_newest_version_serves(repository: Repository) -> None:
    for version in ("2", "10", "9"):
        shutil.copytree(repository.root / "tiny" / "1", repository.root / "tiny" / version)
    assert repository.open("tiny").version == "10"
    assert repository.open("tiny", "2").version == "2"


def test_a_damaged_newest_version_is_passed_over(repository: Repository) -> None:
    newer = repository.root / "tiny" / "2"
    shutil.copytree(repository.root / "tiny" / "1", newer)
    (newer / "edge.onnx").write_bytes(b"damage")
    assert repository.open("tiny").version == "1"


def test_damage_in_the_only_version_is_named(repository: Repository) -> None:
    (repository.root / "tiny" / "1" / "calibration.npz").write_bytes(b"damage")
    with pytest.raises(RepositoryError, match="digest"):
        repository.open("tiny")


def test_an_edge_without_the_large_model_is_fine(repository: Repository) -> None:
    (repository.root / "tiny" / "1" / "dc.onnx").unlink()
    assert not repository.open("tiny").rung("dc").present


@pytest.mark.parametrize("name", ["nope", "../tiny", "*", "", "a/b", ".."])
def test_unknown_and_hostile_names_are_unknown_tasks(repository: Repository, name: str) -> None:
    with pytest.raises(UnknownTask) as caught:
        repository.open(name)
    assert "tiny" in caught.value.hint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("schema = 1", "schema = 9"),
        ('file = "edge.onnx"', 'file = "../edge.onnx"'),
        ('layout = "NHWC"', 'layout = "HCWN"'),
        ('gray = "grey"', 'gray = "purple"'),
        ("default_accuracy = 0.8", ""),
    ],
)
def test_a_faulty_task_file_says_what_is_wrong(repository: Repository, old: str, new: str) -> None:
    file = repository.root / "tiny" / "1" / "task.toml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(RepositoryError, match=r"task\.toml"):
        read_task(file.parent)


def test_versions_sort_as_people_count() -> None:
    assert sorted(["10", "9", "1.10", "1.9", "2-rc"], key=version_key) == [
        "1.9",
        "1.10",
        "2-rc",
        "9",
        "10",
    ]


@pytest.mark.parametrize("name", ["cifar10", "imagenette", "roadsigns"])
def test_the_shipped_tasks_are_good_and_have_something_to_do(name: str) -> None:
    task = Repository(shipped_repository()).open(name)
    scores = task.scores()
    edge, dc = scores.edge_accuracy(), scores.dc_accuracy()
    assert 0.7 < edge < dc - 0.02
    assert scores.curve().highest_certifiable > 0.88
