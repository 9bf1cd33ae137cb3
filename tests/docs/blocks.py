"""The fenced blocks of a page, each with the mark above it and the output below it.

| a mark, a comment that readers do not see | the block below |
|---|---|
| `<!-- not run: REASON -->` | is not run |
| `<!-- run by: tests/test_x.py -->` | is run by that test |
| `<!-- numbers: 5% -->` | prints numbers that may be so far from what stands there |
| `<!-- soon -->` | looks; it is repeated until it shows what stands there |
| `<!-- needs: ffmpeg, jq -->` | is run where these programs are |

The last three go together, in this order: `<!-- needs: jq; soon; numbers: 5% -->`. Knows neither
shells nor HawkVision.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

SHELLS = ("sh", "console")
"""`sh`: commands that print nothing. `console`: commands after `$ `, with what they print."""
PYTHON = "python"

_BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>[^\n]*) -->\n)?```(?P<language>\w*)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_NUMBERS = r"numbers: (?P<percent>[0-9.]+)%"
_OUTPUT = re.compile(
    rf"\n+(?:<!-- {_NUMBERS} -->\n)?```text\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
_MARK = re.compile(
    r"not run: (?P<reason>.+)|run by: (?P<test>\S+)"
    rf"|(?:needs: (?P<needs>[^;]+))?(?:; )?(?P<soon>soon)?(?:; )?(?:{_NUMBERS})?"
)


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    line: int
    """Of the page, from 1, at which its text begins."""
    language: str
    body: str
    output: str | None = None
    """What stands in a block `text` right below."""
    reason: str = ""
    """Why it is not run; empty where it is."""
    test: str = ""
    """The file that runs it, where that is not the runner."""
    needs: tuple[str, ...] = ()
    """Programs without which it is not run."""
    soon: bool = False
    tolerance: float = 0.0
    """Of its numbers, as a share of what stands there."""

    @property
    def runs(self) -> bool:
        """Whether it is the runner's to run."""
        return not self.reason and not self.test

    @property
    def is_shell(self) -> bool:
        """Whether it holds commands, whatever it says that it is."""
        return self.language in SHELLS or "\n$ " in f"\n{self.body}"


def blocks(page: str) -> Iterator[Block]:
    """All of them, in order. Raises ValueError for a mark that is none of the known ones."""
    for found in _BLOCK.finditer(page):
        line = page.count("\n", 0, found.start("body")) + 1
        mark = _MARK.fullmatch(found["mark"] or "")
        if mark is None:
            raise ValueError(f"line {line}: unknown mark <!-- {found['mark']} -->")
        output = _OUTPUT.match(page, found.end())
        percent = mark["percent"] or (output and output["percent"]) or 0
        yield Block(
            line,
            found["language"],
            found["body"],
            None if output is None else output["body"],
            reason=mark["reason"] or "",
            test=mark["test"] or "",
            needs=tuple(mark["needs"].split(", ")) if mark["needs"] else (),
            soon=bool(mark["soon"]),
            tolerance=float(percent) / 100,
        )
