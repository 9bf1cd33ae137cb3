"""What MkDocs adds to `docs/`: pages that lie elsewhere, references made of the code, and links.

A page of `docs/` is read on a git host too, so its links go to files of the repository. Here those
that lead out of `docs/` go to the page which a file became, or become plain text.
"""

from __future__ import annotations

import json
import posixpath
import re
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from hawkvision import serve

ROOT = Path(__file__).resolve().parent.parent

ELSEWHERE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "models/zoo/README.md": "zoo.md",
}
"""Files of the repository that are pages of the site."""

REFERENCES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "client": (
        "Client",
        "[The guide](../sdk.md) shows how they are used.",
        (
            "hawkvision.client.sync_client.Client",
            "hawkvision.client.async_client.AsyncClient",
            "hawkvision.client.lossy.LossyStream",
            "hawkvision.contract.answer",
            "hawkvision.contract.task.TaskInfo",
            "hawkvision.contract.delivered.Report",
        ),
    ),
    "embedding": (
        "Inside a program",
        "An agent, or a gateway, that is started by your own Python.",
        ("hawkvision.embedded",),
    ),
    "extensions": (
        "Extension points",
        "[Extending HawkVision](../extending.md) has the smallest example of each.",
        (
            "hawkvision.extensions",
            "hawkvision.engines.base",
            "hawkvision.tasks.base",
            "hawkvision.tracking.store.base",
        ),
    ),
    "errors": (
        "Errors",
        "[The table of codes](../http.md#errors) says what a client may do.",
        ("hawkvision.errors",),
    ),
}
"""By name: a title, what is said first, and what is shown, from the docstrings."""

_NOBODY = "127.0.0.1:9"
_LINK = re.compile(r"(?P<text>!?\[[^\]]*\])\((?P<target>[^)\s]+)\)")
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that are not in `docs/`."""
    pages = {page: (ROOT / source).read_text("utf-8") for source, page in ELSEWHERE.items()}
    for name, (title, words, shown) in REFERENCES.items():
        parts = [f"# {title}", words, *(f"::: {one}" for one in shown)]
        pages[f"reference/{name}.md"] = "\n\n".join(parts) + "\n"
    description = described()
    pages["reference/routes.md"] = routes_page(description)
    pages["reference/openapi.json"] = json.dumps(description, indent=1)
    for page, text in pages.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository into links of the site."""
    here = page.file.src_uri
    source = next((one for one, made in ELSEWHERE.items() if made == here), f"docs/{here}")

    def turned(found: re.Match[str]) -> str:
        target, mark, anchor = found["target"].partition("#")
        if not target or ":" in target or here.startswith("reference/"):
            return found[0]
        in_repository = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        there = ELSEWHERE.get(in_repository) or in_repository.removeprefix("docs/")
        if in_repository in ELSEWHERE or in_repository.startswith("docs/"):
            if files.get_file_from_path(there) is not None:
                way = posixpath.relpath(there, posixpath.dirname(here) or ".")
                return f"{found['text']}({way}{mark}{anchor})"
            if not (ROOT / in_repository).is_dir():
                return found[0]
        if (ROOT / in_repository).exists():
            return found["text"].lstrip("!")[1:-1]
        return found[0]  # MkDocs says that it leads nowhere

    parts = _FENCE.split(markdown)
    return "".join(part if part.startswith("```") else _LINK.sub(turned, part) for part in parts)


def described() -> Any:
    """What an agent says of itself; one is started on a free port of this machine for it."""
    with (
        serve(tasks=["roadsigns"], gateway=_NOBODY) as services,
        urllib.request.urlopen(f"{services.url}/openapi.json") as reply,
    ):
        return json.load(reply)


def routes_page(description: Mapping[str, Any]) -> str:
    """A table of all routes: what they do, what may stand behind `?`, and who may ask."""
    lines = ["| route | what it does | parameters | scope of a key |", "|---|---|---|---|"]
    for path, methods in description["paths"].items():
        for method, one in methods.items():
            route = f"{method.upper()} {path}"
            query = [f"`{part['name']}`" for part in one["parameters"] if part["in"] == "query"]
            does = "" if one["summary"] == route else one["summary"]
            lines.append(f"| `{route}` | {does} | {', '.join(query)} | {one['x-scope']} |")
    table = "\n".join(lines)
    return (
        "# Routes\n\nAll of an agent's, as its `GET /openapi.json` describes them; the same with "
        "all types: [openapi.json](openapi.json). [HTTP](../http.md) is the guide.\n\n"
        f"{table}\n"
    )
