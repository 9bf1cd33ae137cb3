"""Put a run's figures into the page that speaks of them: everything after its heading `Figures`.

python -m loadtest.bench.modeless.document docs/modeless.json docs/modeless.md
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from loadtest.bench.modeless.report import tables

HEADING = "## Figures\n"
_EXPLAINED = """\
Times in ms, of all requests that were due; "none" is beyond the patience of 3 s or refused. × marks
a target that the 95 % interval lies below, ± what two runs would not agree on within 20 %, by the
repetitions of one. A system that answered fewer than half in time was not asked at higher rates."""


def with_figures(page: str, result: str) -> str:
    """The page with the figures of a run's JSON. Raises ValueError without the heading."""
    before, heading, _ = page.partition(HEADING)
    if not heading:
        raise ValueError(f"the page has no heading {HEADING.strip()!r}")
    return f"{before}{heading}\n{_EXPLAINED}\n\n{tables(json.loads(result)).rstrip()}\n"


def main() -> None:
    """Of a JSON into a page, both named."""
    result, page = (Path(name) for name in sys.argv[1:])
    page.write_text(with_figures(page.read_text("utf-8"), result.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
