"""The calibration report: whole, safe, offline, for few and for many classes."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from hawkvision.repository import Repository, shipped_repository
from hawkvision.summary import summarise_task
from hawkvision.taskbuild.report.calibration import render
from hawkvision.tasks.classification import Classification
from tests.calibration.test_scores import drawn

VOID = {"meta", "link", "br", "img", "hr"}


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
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)""", shipped)
    assert "http" not in shipped and "@import" not in shipped


def test_every_part_is_there(shipped: str) -> None:
    checker = Checker()
    checker.feed(shipped)
    sections = {"targets", "alone", "risk", "reliability", "classes", "relative", "loss", "made"}
    assert sections <= set(checker.ids)
    assert shipped.count("<svg") == 5
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
