"""The documentation as a site: it builds strictly, links lead somewhere, no other host is asked."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.browser import browser

ROOT = Path(__file__).resolve().parents[2]
MKDOCS = ROOT / ".venv-docs"
NO_MKDOCS = "MkDocs is not installed: scripts/setup docs"
_FETCHED = {
    ("script", "src"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("link", "href"),
}
"""What a browser fetches by itself."""
_NOT_FETCHED = {"canonical", "next", "prev"}
_OF_CSS = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])(?:https?:)?//")

pytestmark = pytest.mark.skipif(not (MKDOCS / "mkdocs").is_dir(), reason=NO_MKDOCS)


class Html(HTMLParser):
    """The links, fetched things and anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors.update(given[name] for name in ("id", "name") if name in given)
        for name, value in given.items():
            if (tag, name) in _FETCHED and given.get("rel") not in _NOT_FETCHED:
                self.fetched.append(value)
            if name in ("href", "src"):
                self.links.append(value)


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and notes nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{MKDOCS}", "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Html]:
    return {path: Html(path) for path in site.rglob("*.html")}


def test_every_document_is_a_page_of_it(site: Path) -> None:
    documents = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    wanted = {path.with_suffix(".html") for path in documents} | {Path("index.html")}
    assert len(wanted) > 25
    assert [str(one) for one in sorted(wanted) if not (site / one).is_file()] == []


def broken(site: Path, pages: dict[Path, Html]) -> Iterator[str]:
    for path, page in pages.items():
        if path.name == "404.html":
            continue  # it is shown at any path, so its links begin at the root
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchor = unquote(parts.fragment)
            if not target.is_file():
                yield f"{path.relative_to(site)}: {link}"
            elif anchor and target in pages and anchor not in pages[target].anchors:
                yield f"{path.relative_to(site)}: {link} (no such place)"


def test_every_link_inside_it_leads_somewhere(site: Path, pages: dict[Path, Html]) -> None:
    assert sum(len(page.links) for page in pages.values()) > 1000
    assert list(broken(site, pages)) == []


def test_nothing_is_fetched_from_another_host(site: Path, pages: dict[Path, Html]) -> None:
    fetched = [link for page in pages.values() for link in page.fetched]
    assert len(fetched) > 100
    assert [link for link in fetched if urlsplit(link).netloc] == []
    styles = list(site.rglob("*.css"))
    assert styles
    assert [one.name for one in styles if _OF_CSS.search(one.read_text("utf-8"))] == []


async def test_it_is_searched_in_the_browser(site: Path, tmp_path: Path) -> None:
    handler = partial(Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/start.html?q=certificates"
        async with browser(tmp_path) as tab:
            await tab.open(url, width=1200)
            found = await tab.until(
                "[...document.querySelectorAll('.md-search-result__link')].map(one => one.href)"
                ".join(' ')"
            )
        server.shutdown()
    assert "tls.html" in found


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("routes", "POST /v1/classify"),
        ("client", "The answers for several images in one request"),
        ("embedding", "serve"),
        ("extensions", "hawkvision.engines"),
        ("errors", "TargetUnreachable"),
    ],
)
def test_the_references_are_made_of_the_code(site: Path, name: str, said: str) -> None:
    text = (site / "reference" / f"{name}.html").read_text("utf-8")
    assert said in re.sub(r"<[^>]+>", "", text)


def test_the_description_of_the_routes_is_a_file_of_it(site: Path) -> None:
    description = json.loads((site / "reference" / "openapi.json").read_text("utf-8"))
    assert "post" in description["paths"]["/v1/classify"]


def test_no_link_to_a_file_of_the_repository_is_left(pages: dict[Path, Html]) -> None:
    left = [link for page in pages.values() for link in page.links if link.endswith(".md")]
    assert left == []
