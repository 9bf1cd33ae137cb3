"""Check that relative links in the documentation point at files that exist."""

from __future__ import annotations

import re
import sys
from pathlib import Path

_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def broken_links(root: Path) -> list[str]:
    """`file: target` for every relative link without a target."""
    pages = [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("models/**/*.md")]
    return [
        f"{page.relative_to(root)}: {target}"
        for page in pages
        for target in _LINK.findall(page.read_text("utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]


if __name__ == "__main__":
    broken = broken_links(Path(__file__).resolve().parent.parent)
    for line in broken:
        print(f"broken link in {line}")
    sys.exit(bool(broken))
