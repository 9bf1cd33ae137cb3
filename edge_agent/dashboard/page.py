"""The page as one file: markup, styles and script put together, with the policy that fits them."""

from __future__ import annotations

import base64
import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

STYLES = ("uplot.css", "colours.css", "layout.css", "parts.css")
SCRIPTS = (
    "uplot.js",
    "dom.js",
    "words.js",
    "events.js",
    "series.js",
    "charts.js",
    "figures.js",
    "accuracy.js",
    "answers.js",
    "health.js",
    "trial.js",
    "main.js",
)
_STYLE, _SCRIPT, _LICENCE = "/* styles */", "/* script */", "uplot-licence.txt"


@dataclass(frozen=True, slots=True)
class Page:
    """`html` and the same compressed; `policy` lets its own style and script run, nothing else."""

    html: bytes
    gzipped: bytes
    etag: str
    policy: str


@cache
def page() -> Page:
    """Put together once; some milliseconds."""
    styles = "\n".join(asset(name) for name in STYLES)
    licence = asset(_LICENCE).strip()
    script = f"/*\nuPlot:\n{licence}\n*/\n" + "\n".join(asset(name) for name in SCRIPTS)
    html = asset("index.html").replace(_STYLE, styles).replace(_SCRIPT, script).encode()
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_digest(script)}'",
            f"style-src '{_digest(styles)}'",
            "img-src 'self' data: blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
    etag = hashlib.sha256(html).hexdigest()[:20]
    return Page(html, gzip.compress(html, 9, mtime=0), f'"{etag}"', policy)


def asset(name: str) -> str:
    """A file of the page."""
    return (resources.files("edge_agent.dashboard") / "assets" / name).read_text("utf-8")


def _digest(text: str) -> str:
    """As a Content-Security-Policy names what may stand inline."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
