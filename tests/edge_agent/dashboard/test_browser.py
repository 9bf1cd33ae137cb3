"""The page in a real browser, fed by a real agent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_agent.agent import Agent
from edge_agent.config import EdgeConfig
from edge_agent.dashboard.dashboard import MOST_LISTENERS
from edge_agent.loading import load_tasks
from hawkvision import roadsigns
from hawkvision.repository import shipped_repository
from hawkvision.serving.access.files import store_keys
from hawkvision.serving.access.keyfile import Key, KeyFile, digest_of
from hawkvision.serving.access.scopes import GRANTED
from tests.browser import Browser, browser
from tests.edge_agent.agents import gateway_of, started
from tests.edge_agent.dashboard.test_events import listening, send
from tests.models import build_tiny_repository

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
LIVE = "document.querySelector('#line').dataset.state === 'live'"
WIDE, NARROW = 1280, 390


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Browser]:
    async with browser(tmp_path / "chromium") as found:
        yield found


@asynccontextmanager
async def pair(repository: Path, **settings: Any) -> AsyncIterator[Agent]:
    async with (
        gateway_of(repository) as gateway,
        started(repository, gateway=gateway, tracking_interval_s=0.05, **settings) as agent,
    ):
        yield agent


def text(selector: str) -> str:
    """In parentheses: `??` binds less than what callers compare it by."""
    return f"(document.querySelector({json.dumps(selector)})?.textContent ?? '')"


async def open_page(tab: Browser, agent: Agent, **screen: Any) -> None:
    await tab.open(agent.url + "/", **({"width": WIDE} | screen))
    await tab.until(LIVE)


async def press(tab: Browser, key: str, code: int) -> None:
    typed = {"text": "\r"} if key == "Enter" else {}
    for kind, more in (("keyDown", typed), ("keyUp", {})):
        await tab.call(
            "Input.dispatchKeyEvent",
            type=kind,
            key=key,
            code=key,
            windowsVirtualKeyCode=code,
            **more,
        )


async def choose(tab: Browser, image: Path) -> None:
    root = (await tab.call("DOM.getDocument"))["root"]["nodeId"]
    node = (await tab.call("DOM.querySelector", nodeId=root, selector="#file"))["nodeId"]
    await tab.call("DOM.setFileInputFiles", nodeId=node, files=[str(image)])


@pytest.fixture
def sign(tmp_path: Path) -> Path:
    path = tmp_path / "sign.jpg"
    path.write_bytes(next(iter(roadsigns.stream(1, seed=5))).jpeg)
    return path


async def test_real_traffic_is_shown_and_no_other_host_is_asked(
    tab: Browser, tiny_repository: Path
) -> None:
    async with pair(tiny_repository) as agent:
        given = await send(agent.url, 8)
        await open_page(tab, agent)
        await tab.until("document.querySelectorAll('.answers tbody tr').length === 8")
        assert given[-1]["label"] in await tab.evaluate(text(".answers tbody tr"))
        await tab.until("parseFloat(document.querySelector('#rate').textContent) > 0")
        assert " ms" in await tab.evaluate(text("#time"))
        await tab.until("document.querySelectorAll('.targets li').length === 1")
        assert await tab.evaluate("document.querySelectorAll('.plot canvas').length") >= 3
        asked = await tab.evaluate("performance.getEntriesByType('resource').map(e => e.name)")
        wrong = [one for one in asked if not one.startswith((agent.url + "/", "data:"))]
        assert wrong == []


async def test_an_idle_agent_says_so_plainly(tab: Browser, tiny_repository: Path) -> None:
    async with pair(tiny_repository) as agent:
        await open_page(tab, agent)
        await tab.until(text("#verdict-title") + " === 'Ready'")
        assert "No image has come yet" in await tab.evaluate(text("#verdict-text"))
        assert "Not measured" in await tab.evaluate(text("#health"))
        assert "None yet" in await tab.evaluate(text("#answers"))


async def test_an_agent_without_a_gateway_says_that_it_works_alone(
    tab: Browser, tiny_repository: Path
) -> None:
    async with started(tiny_repository) as agent:
        await send(agent.url, 6, "accuracy=0.9")
        await open_page(tab, agent)
        await tab.until("document.querySelector('#verdict').dataset.level === 'warn'")


async def test_the_try_it_box_answers_and_the_slider_asks_again(tab: Browser, sign: Path) -> None:
    async with pair(shipped_repository(), tasks=("roadsigns",)) as agent:
        await open_page(tab, agent)
        await tab.until("!document.querySelector('#target').disabled")
        await choose(tab, sign)
        await tab.until(text("#result h3"))
        first = await tab.evaluate(text("#result"))
        assert "answered by" in first and "at the agent" in first and "seen from here" in first
        await tab.evaluate(
            "(() => { const s = document.querySelector('#target');"
            "s.value = s.max; s.dispatchEvent(new Event('input')); })()"
        )
        assert "Out of reach" in await tab.evaluate(text("#target-text"))
        await tab.until(text("#result .refused"))


async def test_what_is_no_image_is_refused_in_words(
    tab: Browser, tiny_repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.jpg").write_text("not a photo")
    async with pair(tiny_repository) as agent:
        await open_page(tab, agent)
        await choose(tab, tmp_path / "notes.jpg")
        await tab.until(text("#result .refused"))


async def test_hostile_labels_and_apps_stay_text(tab: Browser, tmp_path: Path) -> None:
    repository = build_tiny_repository(tmp_path / "repository")
    for file in repository.rglob("task.toml"):
        told = file.read_text("utf-8")
        for label in ("red", "green", "blue", "grey"):
            told = told.replace(f'"{label}"', json.dumps(HOSTILE + label))
        file.write_text(told, "utf-8")
    async with pair(repository) as agent:
        await send(agent.url, 4)
        await open_page(tab, agent)
        shown = text(".answers tbody .what b")
        await tab.until(shown)
        assert str(await tab.evaluate(shown)).startswith(HOSTILE)
        assert await tab.evaluate("window.hacked ?? 'safe'") == "safe"
        assert await tab.evaluate("document.querySelectorAll('#answers script').length") == 0


async def test_nothing_but_the_pages_own_script_runs(tab: Browser, tiny_repository: Path) -> None:
    async with pair(tiny_repository) as agent:
        await open_page(tab, agent)
        await tab.evaluate(
            "(() => { const s = document.createElement('script');"
            "s.textContent = 'window.hacked = 1'; document.body.append(s); })()"
        )
        assert await tab.evaluate("window.hacked ?? 'safe'") == "safe"


_WATCH = """
window.broken = [];
addEventListener('securitypolicyviolation', (e) => broken.push(e.violatedDirective));
addEventListener('error', (e) => broken.push(e.message));
addEventListener('unhandledrejection', (e) => broken.push(String(e.reason)));
"""


async def test_the_page_breaks_none_of_its_own_rules(
    tab: Browser, sign: Path, tiny_repository: Path
) -> None:
    async with pair(tiny_repository, dashboard_images=4) as agent:
        await send(agent.url, 4)
        await tab.call("Page.enable")
        await tab.call("Page.addScriptToEvaluateOnNewDocument", source=_WATCH)
        await open_page(tab, agent)
        await tab.until("document.querySelectorAll('.answers img').length === 4")
        await tab.until("document.querySelectorAll('.plot canvas').length >= 3")
        await choose(tab, sign)
        await tab.until(text("#result h3"))
        await tab.evaluate("[...document.querySelectorAll('.choice input')].map(e => e.click())")
        await tab.screen(width=NARROW, dark=True)
        await tab.until("matchMedia('(prefers-color-scheme: dark)').matches")
        assert await tab.evaluate("window.broken") == []


@pytest.mark.parametrize("width", [NARROW, WIDE])
async def test_nothing_needs_scrolling_sideways(
    tab: Browser, tiny_repository: Path, width: int
) -> None:
    async with pair(tiny_repository) as agent:
        await send(agent.url, 8)
        await open_page(tab, agent, width=width)
        await tab.until("document.querySelectorAll('.answers tbody tr').length === 8")
        assert await tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("dark", [False, True])
async def test_text_stands_out_from_its_ground(
    tab: Browser, tiny_repository: Path, dark: bool
) -> None:
    """WCAG AA: 4.5 to 1, of each text against the nearest ground that is not transparent."""
    async with pair(tiny_repository) as agent:
        await send(agent.url, 8)
        await open_page(tab, agent, dark=dark)
        await tab.until("document.querySelectorAll('.targets li').length === 1")
        faint = await tab.evaluate(_FAINT)
        assert faint == []
        ground = await tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(14, 18, 22)" if dark else "rgb(245, 246, 248)")


_FAINT = """(() => {
  const parts = (c) => c.match(/[\\d.]+/g).map(Number);
  const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (c) => 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = parts(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const found = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !e.offsetParent || e.closest('script')) continue;
    const [a, b] = [light(parts(getComputedStyle(e).color)), light(ground(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.add(e.className + ' ' + e.textContent.slice(0, 20) + ratio.toFixed(2));
  }
  return [...found];
})()"""


async def test_everything_is_reached_and_worked_by_keyboard(
    tab: Browser, tiny_repository: Path
) -> None:
    async with pair(tiny_repository) as agent:
        await send(agent.url, 8)
        await open_page(tab, agent)
        await tab.until("document.querySelectorAll('.plot canvas').length >= 3")
        await tab.until("!document.querySelector('#target').disabled")
        reached = []
        for _ in range(30):
            await press(tab, "Tab", 9)
            found = await tab.evaluate(
                "(e => e.id || e.name || e.className || e.tagName)(document.activeElement)"
            )
            reached.append(found)
        assert {"skip", "window", "target", "file", "span", "plot", "pause"} <= set(reached)
        await tab.evaluate("document.querySelector('#target').focus()")
        before = await tab.evaluate(text("#target-value"))
        await press(tab, "ArrowLeft", 37)
        assert await tab.evaluate(text("#target-value")) != before
        await tab.evaluate("document.querySelector('.plot').focus()")
        await press(tab, "ArrowLeft", 37)
        said = await tab.evaluate("document.querySelector('.plot').getAttribute('aria-label')")
        assert "answered" in said


async def test_everything_that_is_worked_has_a_name(tab: Browser, tiny_repository: Path) -> None:
    async with pair(tiny_repository) as agent:
        await send(agent.url, 4)
        await open_page(tab, agent)
        await tab.until("document.querySelectorAll('.plot canvas').length >= 3")
        nodes = (await tab.call("Accessibility.getFullAXTree"))["nodes"]
        roles = {"button", "radio", "slider", "combobox", "image", "table", "heading", "status"}
        named = [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node["ignored"] and node.get("role", {}).get("value") in roles
        ]
        assert {"radio", "slider", "button", "heading"} <= {role for role, _ in named}
        unnamed = {"status"}
        assert [role for role, name in named if not name and role not in unnamed] == []


async def test_who_finds_no_room_is_told_why(tab: Browser, tiny_repository: Path) -> None:
    async with pair(tiny_repository) as agent, AsyncExitStack() as stack:
        for _ in range(MOST_LISTENERS):
            await anext(await stack.enter_async_context(listening(agent.url)))
        await tab.open(agent.url + "/", width=WIDE)
        await tab.until(text("#verdict-title") + " === 'Not shown'")
        assert "Close one of them" in await tab.evaluate(text("#verdict-text"))


async def test_a_list_that_is_paused_holds_still(tab: Browser, tiny_repository: Path) -> None:
    rows = "document.querySelectorAll('.answers tbody tr').length"
    async with pair(tiny_repository) as agent:
        await send(agent.url, 2)
        await open_page(tab, agent)
        await tab.until(f"{rows} === 2")
        await tab.evaluate("document.querySelector('#pause').click()")
        await send(agent.url, 2)
        await tab.until("parseFloat(document.querySelector('#rate').textContent) > 0")
        async with listening(agent.url) as told:
            async for _, data in told:
                if len(data["answers"]) == 4:
                    break
        assert await tab.evaluate(rows) == 2
        await tab.evaluate("document.querySelector('#pause').click()")
        await tab.until(f"{rows} === 4")


async def test_a_lost_agent_is_said_and_found_again(tab: Browser, tiny_repository: Path) -> None:
    async with pair(tiny_repository) as agent:
        port = int(agent.url.rpartition(":")[2])
        await open_page(tab, agent)
    await tab.until(text("#verdict-title") + " === 'Not reachable'")
    async with _again(tiny_repository, port):
        await tab.until(LIVE)


@asynccontextmanager
async def _again(repository: Path, port: int) -> AsyncIterator[Agent]:
    config = EdgeConfig(port=port, model_repository=repository, drain_notice_s=0.0)
    agent = Agent(config, load_tasks(config))
    try:
        await agent.start()
        yield agent
    finally:
        await agent.close()


KEY = "a-key-of-25-letters-or-so"


@asynccontextmanager
async def _with_keys(repository: Path, keys: Path) -> AsyncIterator[Agent]:
    """An agent whose events are for those alone who show a key."""
    store_keys(keys, KeyFile((Key("page", digest_of(KEY), frozenset(GRANTED), None),)))
    config = EdgeConfig(port=0, model_repository=repository, keys=keys, drain_notice_s=0.0)
    agent = Agent(config, load_tasks(config))
    try:
        await agent.start()
        yield agent
    finally:
        await agent.close()


async def test_a_key_is_asked_for_sent_and_kept_in_the_tab(
    tab: Browser, tiny_repository: Path, tmp_path: Path
) -> None:
    async with _with_keys(tiny_repository, tmp_path / "keys.toml") as agent:
        await tab.open(agent.url + "/", width=WIDE)
        for key in ("a wrong key", KEY):
            await tab.until("document.querySelector('#ask').open")
            await tab.evaluate("document.querySelector('#key').focus()")
            await tab.call("Input.insertText", text=key)
            await press(tab, "Enter", 13)
            await tab.until("sessionStorage.length > 0")
        await tab.until(LIVE)
        assert await tab.evaluate("sessionStorage.getItem('hawkvision-key')") == KEY
        assert await tab.evaluate("localStorage.length") == 0
        assert KEY not in await tab.evaluate("location.href")
