"""`python -m tests.docs`: run the pages and print each command with what it really says."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.docs.console import matches, steps
from tests.docs.pages import PAGES
from tests.docs.shell import Shell


def main() -> int:
    """The number of commands whose output is another one than the page's."""
    others = 0
    for page in PAGES:
        with (
            tempfile.TemporaryDirectory() as folder,
            Shell(Path(folder) / "page", page.ports, page.defaults) as shell,
        ):
            for step in steps(page.text):
                said, status = shell.run(step)
                same = matches(step, said) and (not status or step.may_fail)
                others += not same
                mark = "" if same else f"   # line {step.line}: another output, status {status}"
                print(f"$ {step.command}{mark}\n{said}", end="", flush=True)
    return others


if __name__ == "__main__":
    sys.exit(min(main(), 1))
