"""The calibration report as a browser draws it: on a phone and a desk, light and dark."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hawkvision.datasets import LabelledImage
from hawkvision.datasets.types import in_memory
from hawkvision.repository import Repository, shipped_repository
from hawkvision.summary import summarise_task
from hawkvision.taskbuild.report.calibration import Made, render
from hawkvision.tasks.classification import Classification
from tests.browser import browser
from tests.calibration.test_scores import drawn
from tests.models import coloured_jpeg

PHONE, DESK = 390, 1280

_WIDTHS = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
_CUT = """[...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth)
    .map(one => one.getAttribute('aria-label'))"""
_CHARTS = """[...document.querySelectorAll('figure svg')].map(one => {
    const box = one.getBoundingClientRect();
    return [box.left + scrollX, box.top + scrollY, box.width, box.height] })"""
_LETTERS = """Math.min(...[...document.querySelectorAll('figure svg text')].map(
    one => { const to = one.getScreenCTM();
        return parseFloat(getComputedStyle(one).fontSize) * Math.hypot(to.a, to.b) }))"""
_PALE = """(() => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const drawn = colours => { canvas.clearRect(0, 0, 1, 1);
        for (const one of colours) { canvas.fillStyle = one; canvas.fillRect(0, 0, 1, 1) }
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3) };
    const light = pixel => pixel.map(one => one / 255)
        .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
        .reduce((sum, one, place) => sum + one * [0.2126, 0.7152, 0.0722][place], 0) + 0.05;
    const below = one => { const found = [];
        for (; one; one = one.parentElement) found.unshift(getComputedStyle(one).backgroundColor);
        return found };
    const has = one => [...one.childNodes].some(part => part.nodeType === 3 && part.data.trim());
    return [...document.querySelectorAll('body :not(style)')].filter(has).map(one => {
        const style = getComputedStyle(one), ground = below(one);
        const ink = one.closest('svg') ? style.fill : style.color;
        const pair = [light(drawn(ground)), light(drawn([...ground, ink]))].sort((a, b) => a - b);
        return [pair[1] / pair[0], one.textContent.trim().slice(0, 40)] })
        .filter(([contrast]) => contrast < 4.5) })()"""
"""Texts whose contrast with what lies below them is less than WCAG's 4.5, with it."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With all sections, warnings, pictures and a confusion matrix."""
    task = Repository(shipped_repository()).open("imagenette")
    task = replace(task, default_accuracy=0.5)
    scores = drawn(10, 60)
    photos = [LabelledImage(coloured_jpeg("red", seed), "x", f"{seed}.jpg") for seed in range(60)]
    notes = ("only 60 certifying images: …", "edge: normalize=imagenet was found by trial")
    command = "hawkvision calibrate --edge /home/somebody/models/small.onnx,labels=small.txt"
    made = Made("2026-01-31 12:00 UTC", command, {"edge": "/home/somebody/models/small.onnx"})
    summary = summarise_task(task, scores)
    html = render(task, scores, summary, notes, made, in_memory(photos, ["x"]))
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(html, "utf-8")
    return file


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a real task, with real figures."""
    task = Repository(shipped_repository()).open("imagenette")
    scores = task.scores()
    file = tmp_path_factory.mktemp("shipped") / "report.html"
    file.write_text(render(task, scores, summarise_task(task, scores)), "utf-8")
    return file


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With names that no line can be broken in."""
    task = Repository(shipped_repository()).open("imagenette")
    labels = tuple(f"{'longlabel' * 8}{place}" for place in range(10))
    task = replace(task, kind=Classification(labels), default_accuracy=0.5, name="t" * 79)
    scores = drawn(10, 400)
    made = Made("2026-01-31", "hawkvision" * 30, {"edge": "/" + "folder" * 40})
    file = tmp_path_factory.mktemp("unbroken") / "report.html"
    html = render(task, scores, summarise_task(task, scores), ("not " + "n" * 200,), made)
    file.write_text(html, "utf-8")
    return file


async def test_nothing_leaves_the_screen_of_a_phone(
    page: Path, shipped: Path, unbroken: Path, tmp_path: Path
) -> None:
    async with browser(tmp_path) as tab:
        for file, cut in ((page, []), (shipped, []), (unbroken, None)):
            await tab.show(file, width=PHONE)
            content, screen = await tab.evaluate(_WIDTHS)
            assert screen == PHONE and content <= screen
            assert cut is None or await tab.evaluate(_CUT) == cut


async def test_letters_of_charts_are_legible_on_a_phone_and_equal_on_a_desk(
    shipped: Path, tmp_path: Path
) -> None:
    async with browser(tmp_path) as tab:
        await tab.show(shipped, width=PHONE)
        assert await tab.evaluate(_LETTERS) > 9
        await tab.show(shipped, width=DESK)
        charts = await tab.evaluate(_CHARTS)
        assert len(charts) == 8
        assert max(chart[2] for chart in charts) - min(chart[2] for chart in charts) < 20


async def test_charts_are_dark_where_the_page_is(shipped: Path, tmp_path: Path) -> None:
    bright: dict[bool, list[float]] = {}
    async with browser(tmp_path) as tab:
        for dark in (False, True):
            await tab.show(shipped, width=DESK, dark=dark)
            charts = await tab.evaluate(_CHARTS)
            bright[dark] = [float((await tab.pixels(*box) > 200).mean()) for box in charts]
    assert len(bright[True]) == 8
    assert max(bright[True]) < 0.1 and min(bright[False]) > 0.7


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_every_text_stands_out(page: Path, tmp_path: Path, dark: bool) -> None:
    async with browser(tmp_path) as tab:
        await tab.show(page, width=DESK, dark=dark)
        assert await tab.evaluate("document.querySelectorAll('td.wrong').length") > 5
        assert await tab.evaluate(_PALE) == []


async def test_pictures_are_drawn(page: Path, tmp_path: Path) -> None:
    async with browser(tmp_path) as tab:
        await tab.show(page, width=PHONE)
        widths = await tab.evaluate("[...document.images].map(one => one.naturalWidth)")
        assert widths and min(widths) > 20
