"""A chain is chosen out of candidates by what fits, and certified by what was not looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from hawkvision.datasets import LabelledSet, in_memory
from hawkvision.engines import ModelSpec
from hawkvision.errors import CalibrationError
from hawkvision.images import InputGeometry
from hawkvision.planning.chains import Candidate, Certifying, Wanted
from hawkvision.repository import Repository
from hawkvision.taskbuild import build as building
from hawkvision.taskbuild.build import BuildRequest, Built, Progress, build_task
from hawkvision.taskbuild.choosing import candidate_names, choose
from hawkvision.taskbuild.cost import Cost
from hawkvision.taskbuild.sources import ModelSource, parse_source
from hawkvision.taskbuild.split import CHOOSE_EVERY, split_images
from tests.models import LABELS, SIDE, classifier, coloured_jpeg
from tests.taskbuild.strangers import photos

PATCHES = {"tiny": 3, "small": 9, "middle": 20, "large": SIDE}
WANTED = Wanted((0.8, 0.9), memory_mb=45.0)


@pytest.fixture
def sources(tmp_path: Path) -> list[ModelSource]:
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    made = []
    for name, patch in PATCHES.items():
        onnx.save(classifier(patch), tmp_path / f"{name}.int8.onnx")
        more = f"fit=stretch,labels={tmp_path}/labels.txt"
        made.append(parse_source(f"{tmp_path}/{name}.int8.onnx,{more}"))
    return made


@pytest.fixture(autouse=True)
def costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A millisecond and a megabyte for each pixel of a patch's side."""

    def cost(spec: ModelSpec, _geometry: InputGeometry, _engine: str) -> Cost:
        side = float(PATCHES[spec.path.name.split(".")[0]])
        return Cost(side, side, side)

    monkeypatch.setattr(building, "measure_cost", cost)


def built(sources: Sequence[ModelSource], images: LabelledSet, out: Path) -> Built:
    request = BuildRequest("colours", tuple(sources), images, loss_levels=(0.0,), wanted=WANTED)
    return build_task(request, out, Progress())


def test_the_chosen_rungs_are_served_and_the_others_left(
    sources: list[ModelSource], tmp_path: Path
) -> None:
    made = built(sources[::-1], photos(), tmp_path / "out")
    assert made.choice is not None
    chosen = made.choice.chosen
    assert made.choice.fitting_images == 140 and len(made.scores) == 280
    assert chosen.meets(WANTED) and chosen.memory_mb <= 45.0
    task = Repository(tmp_path / "out").open("colours")
    assert tuple(rung.name for rung in task.rungs) == chosen.rungs
    assert [rung.measured["milliseconds"] for rung in task.rungs] == [
        PATCHES[name] for name in chosen.rungs
    ]
    files = {path.name for path in task.folder.glob("*.onnx")}
    assert files == {f"{name}.onnx" for name in chosen.rungs}
    assert all(note.split(":")[0] in chosen.rungs for note in made.notes if "temperature" in note)


def test_no_image_that_certifies_is_looked_at_for_the_choice(
    sources: list[ModelSource], tmp_path: Path
) -> None:
    """Other pictures under the same names: another certificate, the same choice to the digit."""
    plain = photos()
    _, certifying = split_images(plain, None, CHOOSE_EVERY)
    names = {name for name, _ in certifying.members}
    worse = in_memory(
        (
            replace(image, data=coloured_jpeg(image.label, 90_000 + number, noise=300.0))
            if image.name in names
            else image
            for number, image in enumerate(plain)
        ),
        list(LABELS),
    )
    before = built(sources, plain, tmp_path / "before")
    after = built(sources, worse, tmp_path / "after")
    assert before.choice is not None and after.choice is not None
    assert before.choice.as_dict() == after.choice.as_dict()
    assert before.scores.dc_accuracy() > after.scores.dc_accuracy() + 0.05
    assert any("expected to be certified" in note for note in after.notes)


def made_up(name: str, ms: float, right: float) -> Candidate:
    loss = (np.arange(200) >= 200 * right).astype(np.float32)
    return Candidate(name, ms, 10 * ms, loss, 0.9 - 0.5 * loss)


@pytest.mark.parametrize(
    ("wanted", "message", "hint"),
    [
        (Wanted((0.96,)), "accuracy 0.96; the highest that", "about "),
        (Wanted((0.99,)), "accuracy 0.99; the highest that", "right more often"),
        (Wanted((0.8,), memory_mb=5.0), "least at the edge is 10.0 MB", "--memory"),
        (Wanted((0.8,), deadline_ms=2.0), "goes all the way 25.0 ms", "--deadline-ms"),
    ],
)
def test_where_no_chain_is_good_enough_it_says_how_high_and_what_helps(
    wanted: Wanted, message: str, hint: str
) -> None:
    candidates = [made_up("small", 1.0, 0.8), made_up("large", 4.0, 0.97)]
    with pytest.raises(CalibrationError) as refused:
        choose(candidates, wanted, 200, Certifying(400, 0.05))
    assert message in refused.value.message and hint in refused.value.hint


def test_candidates_are_named_after_their_files() -> None:
    paths = ["dc-128.int8.onnx", "a/edge.onnx", "50.onnx"]
    assert candidate_names([ModelSource(Path(one)) for one in paths]) == [
        "dc_128",
        "edge",
        "rung_50",
    ]
    given = ModelSource(Path("a/edge.onnx"), name="other")
    assert candidate_names([given, ModelSource(Path("b/edge.onnx"))]) == ["other", "edge"]
    with pytest.raises(CalibrationError, match="two candidates are called edge"):
        candidate_names([ModelSource(Path("a/edge.onnx")), ModelSource(Path("b/edge.onnx"))])
    with pytest.raises(CalibrationError, match="no choice"):
        candidate_names([ModelSource(Path("a/edge.onnx"))])
