"""`python -m tests.docs [PAGE.md …]`: run pages and print each command with what it really says."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.docs.console import steps
from tests.docs.pages import PAGES, Page
from tests.docs.running import fits, missing, session

_WAIT_S = 30.0
"""Who writes a page does not wait long for what it says."""


def show(page: Page) -> int:
    """The number of commands whose output is another one than the page's."""
    others = 0
    with tempfile.TemporaryDirectory() as folder, session(page, Path(folder), _WAIT_S) as shell:
        for step in steps(page.text):
            if lacks := missing(step.needs):
                print(f"$ {step.command}   # line {step.line}: no {', '.join(lacks)} here")
                continue
            said, status = shell.run(step)
            same = fits(step, said, status)
            others += not same
            mark = "" if same else f"   # line {step.line}: another output, status {status}"
            print(f"$ {step.command}{mark}\n{said}", end="", flush=True)
    return others


if __name__ == "__main__":
    wanted = sys.argv[1:]
    others = [show(page) for page in PAGES if not wanted or page.path.name in wanted]
    sys.exit(min(sum(others), 1))
