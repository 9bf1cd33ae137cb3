"""The calibration report: whole, safe, offline, for few and for many classes."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from hawkvision.datasets import LabelledImage
from hawkvision.datasets.types import in_memory
from hawkvision.repository import Repository, shipped_repository
from hawkvision.summary import summarise_task
from hawkvision.taskbuild.report import plots
from hawkvision.taskbuild.report.calibration import (
    Made,
    foldable,
    grouped,
    render,
    threshold_text,
)
from hawkvision.taskbuild.report.confusion import confusion
from hawkvision.taskbuild.report.examples import examples, worst
from hawkvision.tasks.classification import Classification
from tests.calibration.test_scores import drawn
from tests.models import coloured_jpeg

VOID = {"meta", "link", "br", "img", "hr", "wbr"}


class Checker(HTMLParser):
    """Collects ids, headings and unbalanced tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)


def page(classes: int, n: int = 800) -> str:
    task = Repository(shipped_repository()).open("imagenette")
    labels = ("<script>alert(1)</script>", *(f"class {index}" for index in range(1, classes)))
    task = replace(task, kind=Classification(labels), default_accuracy=0.6)
    scores = drawn(classes, n)
    return render(task, scores, summarise_task(task, scores), ("a <b> note",))


@pytest.fixture(scope="module")
def shipped() -> str:
    task = Repository(shipped_repository()).open("imagenette")
    scores = task.scores()
    return render(task, scores, summarise_task(task, scores))


@pytest.mark.parametrize("classes", [2, 1000])
def test_it_is_well_formed_and_escapes_what_it_was_given(classes: int) -> None:
    html = page(classes)
    checker = Checker()
    checker.feed(html)
    assert checker.faults == [] and checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
    assert "<script" not in html and "a &lt;b&gt; note" in html
    assert len(html) < 1_500_000
    if classes > 30:
        assert f"{classes - 30}" in html.replace(" ", "") and "not shown" in html


def test_it_needs_nothing_from_outside(shipped: str) -> None:
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#|data:image/jpeg;base64,)""", shipped)
    assert "http" not in shipped and "@import" not in shipped


def test_every_part_is_there(shipped: str) -> None:
    checker = Checker()
    checker.feed(shipped)
    sections = {"targets", "alone", "risk", "reliability", "classes", "relative", "loss", "made"}
    sections |= {"confusion"}
    assert sections <= set(checker.ids)
    assert shipped.count("<svg") == 8
    assert "gas pump" in shipped and "not certified" in shipped


def test_the_figures_are_those_of_the_scores(shipped: str) -> None:
    task = Repository(shipped_repository()).open("imagenette")
    scores = task.scores()
    assert f"{scores.curve().highest_certifiable:.3f}" in shipped
    row = next(
        row for row in summarise_task(task, scores).targets if row.target == task.default_accuracy
    )
    assert f"<td>{row.threshold:.4f}</td><td>{row.escalation_rate:.1%}</td>" in shipped


def test_the_same_input_gives_the_same_page(shipped: str) -> None:
    task = Repository(shipped_repository()).open("imagenette")
    scores = task.scores()
    assert render(task, scores, summarise_task(task, scores)) == shipped


def test_many_images_do_not_make_a_large_page() -> None:
    assert len(page(10, 20_000)) < 400_000


def test_how_it_was_made_stands_at_the_top() -> None:
    task = Repository(shipped_repository()).open("imagenette")
    scores = task.scores()
    made = Made(
        "2026-01-31 12:00 UTC", "hawkvision calibrate --data 'my photos'", {"edge": "e.onnx"}
    )
    html = render(task, scores, summarise_task(task, scores), (), made)
    top = html[: html.index('id="targets"')]
    assert "2026-01-31 12:00 UTC" in top and "&#39;my photos&#39;" in top and "e.onnx" in top


def test_warnings_and_facts_are_told_apart(shipped: str) -> None:
    task = Repository(shipped_repository()).open("imagenette")
    scores = task.scores()
    notes = ("only 80 certifying images: …", "edge: normalize=imagenet found by trial")
    html = render(task, scores, summarise_task(task, scores), notes)
    first, second = html.index("only 80"), html.index("found by trial")
    assert "</ul>" in html[first:second]
    assert '<div class="box' not in shipped


def test_targets_with_one_threshold_are_one_row(shipped: str) -> None:
    task = Repository(shipped_repository()).open("imagenette")
    rows = [row for row in summarise_task(task, task.scores()).targets if row.certified]
    groups = grouped(rows, 0.83)
    assert sum(row.threshold == rows[0].threshold for row in rows) > 4
    assert [group.row.target for group in groups[:3]] == [0.82, 0.83, 0.87]
    assert [group.default for group in groups[:3]] == [False, True, False]
    assert [group.lowest for group in groups[:3]] == [0.81, 0.83, 0.84]
    assert "0.81 to 0.87" in shipped


def test_charts_take_the_page_s_colours_and_legends_lie_below(shipped: str) -> None:
    for svg in re.findall(r"<svg.*?</svg>", shipped, re.DOTALL):
        assert "var(--ink)" in svg and "#ffffff" not in svg and "#000000" not in svg
        height = float(re.findall(r'viewBox="0 0 [\d.]+ ([\d.]+)"', svg)[0])
        if "legend" in svg:
            legend = svg[svg.index("legend") :]
            texts = [float(y) for y in re.findall(r"<text[^>]* y=\"([\d.]+)", legend)]
            assert texts and min(texts) > 0.8 * height


def test_a_flat_curve_stands_on_an_axis_from_zero() -> None:
    for targets in ([0.6], [0.6, 0.61]):
        flat, highest = [0.0 for _ in targets], targets[-1]
        svg = plots.cost_plot(
            "a", targets, flat, "ms", least=10.0, default=0.6, highest=highest, beyond=0.61
        )
        assert ">10<" in svg and "−" not in svg


def test_who_cannot_see_it_is_told(shipped: str) -> None:
    svgs = re.findall(r"<svg[^>]*>", shipped)
    assert all('role="img"' in svg and 'aria-label="Chart: ' in svg for svg in svgs)
    assert len({re.findall(r'aria-label="([^"]*)"', svg)[0] for svg in svgs}) > 4
    assert shipped.count('<div class="scroll"') == shipped.count('tabindex="0" role="region"') > 5


def test_the_list_at_the_top_names_the_sections_that_are_there(shipped: str) -> None:
    checker = Checker()
    checker.feed(shipped)
    linked = re.findall(r'<a href="#([^"]+)"', shipped)
    assert len(linked) > 6 and set(linked) <= set(checker.ids)
    headed = re.findall(r'<h2 id="([^"]+)"', shipped)
    assert linked == headed


def test_a_threshold_that_nothing_reaches_is_said_in_words() -> None:
    assert threshold_text(1.01) == "above 1" and threshold_text(1.0) == "1.0000"


def test_labels_break_between_words_only() -> None:
    assert foldable("speed_limit_80") == "speed_<wbr>limit_<wbr>80"
    assert foldable("<b>_/x") == "&lt;b&gt;_<wbr>/<wbr>x"


def test_the_worst_mistakes_are_shown_as_pictures() -> None:
    task = Repository(shipped_repository()).open("imagenette")
    held = drawn(10, 60)
    assert held.items is not None
    photo = [LabelledImage(coloured_jpeg("red", seed), "x", f"{seed}.jpg") for seed in range(60)]
    images = in_memory(photo, ["x"])
    html = render(task, held, summarise_task(task, held), (), None, images)
    places = worst(held, 0.0)
    assert places and (np.diff(held.confidence[places]) <= 0).all()
    assert (held.edge_loss[0][places] > 0).all()
    assert 0 < html.count('src="data:image/jpeg;base64,') <= 12
    ranked = sorted(photo, key=lambda one: hashlib.sha256(one.data).hexdigest())
    first = examples(held, task.labels, images, 0.0)[0]
    assert f'alt="Taken for {first.answer}, is {first.label}: {first.name}"' in html
    assert first.name == ranked[places[0]].name
    assert first.label == task.labels[held.items.label[places[0]]]
    assert len(html) < 500_000
    assert examples(held, task.labels, in_memory(photo[:50], ["x"]), 0.0) == []


def test_confusions_are_those_of_the_cascade() -> None:
    held = drawn(4, 400)
    labels = tuple("abcd")
    found = confusion(held, labels, 0.7)
    assert found is not None and held.items is not None
    local = held.confidence >= 0.7
    answer = np.where(local, held.items.rung_class[0, 0], held.items.dc_class[0])
    wrong = int((answer != held.items.label).sum())
    assert sum(one.count for one in found.mistakes) == wrong > 0
    assert all(sum(row) == pytest.approx(1) for row in found.rows)
    right = [found.rows[index][index] for index in range(4)]
    of_class = np.bincount(held.items.label, minlength=4)
    assert float(np.dot(right, of_class)) == pytest.approx(len(held) - wrong)
    assert confusion(drawn(1000, 400), [str(i) for i in range(1000)], 0.7).rows == ()  # type: ignore[union-attr]
    assert confusion(replace(held, items=None), labels, 0.7) is None
