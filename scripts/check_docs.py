"""Check the documentation: relative links point at files that exist, and every table has rows."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_RULE = re.compile(r"^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)+\|?\s*$")
_FENCE = re.compile(r"^\s*(```|~~~)")


def pages(root: Path) -> list[Path]:
    """Every document that is shown to people."""
    return [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("models/**/*.md")]


def broken_links(page: Path) -> list[str]:
    """The relative links of a page that have no target."""
    return [
        target
        for target in _LINK.findall(page.read_text("utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]


def empty_tables(text: str) -> list[int]:
    """The lines (from 1) at which a table has a header and a rule, and then no row."""
    found, lines, fenced = [], text.splitlines(), False
    for number, line in enumerate(lines, 1):
        if _FENCE.match(line):
            fenced = not fenced
        if fenced or number == 1 or not _RULE.match(line) or "|" not in lines[number - 2]:
            continue
        following = lines[number] if number < len(lines) else ""
        if "|" not in following:
            found.append(number)
    return found


def faults(root: Path) -> Iterator[str]:
    """One line for each."""
    for page in pages(root):
        name = page.relative_to(root)
        for target in broken_links(page):
            yield f"broken link in {name}: {target}"
        for line in empty_tables(page.read_text("utf-8")):
            yield f"table without rows in {name}, line {line}"


if __name__ == "__main__":
    said = list(faults(Path(__file__).resolve().parent.parent))
    for fault in said:
        print(fault)
    sys.exit(bool(said))
