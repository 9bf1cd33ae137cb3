"""Pages that are run: what ```console blocks hold, and whether an output is as it stands there.

| in a block | means |
|---|---|
| `$ command` | a command; lines below that begin with `> ` go on with it |
| a line below | what it prints |
| `…` within a line | any text of that line |
| `…` alone | any lines, or none |
| `<!-- numbers: 5% -->` above | numbers of the block may be so far from what stands there |
| `<!-- soon -->` above, `<!-- soon; numbers: 5% -->` | looks, repeated until they show this |

Runs of spaces and of a table's rules count as one, so that columns may be wider. Knows neither
shells nor HawkVision.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_BLOCK = re.compile(
    r"^(?:<!-- (?P<soon>soon)?(?:; )?(?:numbers: (?P<percent>[0-9.]+)%)? -->\n)?"
    r"```console\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?![\w.]*[A-Za-z_])")
_RUN = re.compile(r"([ ━─═])\1+")
_ANY = "…"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Step:
    """A command of a page, with what it prints."""

    line: int
    """Of the page, from 1."""
    command: str
    expected: list[str] = field(default_factory=list)
    tolerance: float = 0.0
    """Of its numbers, as a share of what stands there."""
    soon: bool = False
    """Whether it looks at what comes about by itself; it is run until that is there."""

    @property
    def goes_on(self) -> bool:
        """Whether it is left running while the next commands run."""
        return self.command.endswith("&")

    @property
    def may_fail(self) -> bool:
        """Whether the page shows that it is refused."""
        return any(line.startswith("error: ") for line in self.expected)


def steps(page: str) -> Iterator[Step]:
    """The commands of a page, in order. Raises ValueError for a block that begins with output."""
    for block in _BLOCK.finditer(page):
        first = page.count("\n", 0, block.start("body")) + 1
        tolerance = float(block["percent"] or 0) / 100
        step: Step | None = None
        for number, line in enumerate(block["body"].splitlines(), first):
            if line.startswith("$ "):
                if step is not None:
                    yield step
                step = Step(number, line[2:], [], tolerance, bool(block["soon"]))
            elif step is None:
                raise ValueError(f"line {number}: output without a command")
            elif (line == ">" or line.startswith("> ")) and not step.expected:
                step.command += "\n" + line[2:]
            else:
                step.expected.append(line)
        if step is not None:
            yield step


def plain(text: str) -> list[str]:
    """The lines of an output as they are compared."""
    return [_RUN.sub(r"\1", line.rstrip()) for line in _COLOURS.sub("", text).splitlines()]


def matches(step: Step, output: str) -> bool:
    """Whether a command printed what the page says; one that goes on may say more later."""
    wanted = _Lines([_Line(line, step.tolerance) for line in plain("\n".join(step.expected))])
    return wanted.match(plain(output), more=step.goes_on)


class _Line:
    """One line of a page, as a pattern."""

    def __init__(self, text: str, tolerance: float) -> None:
        self.any_lines = text.strip() == _ANY
        self._tolerance = tolerance
        self._numbers: list[float] = []
        at, parts = 0, []
        for found in _NUMBER.finditer(text) if tolerance else ():
            parts.append(self._words(text[at : found.start()]))
            parts.append(r"(\d+(?:,\d{3})*(?:\.\d+)?)")
            self._numbers.append(_value(found[0]))
            at = found.end()
        self._pattern = re.compile("".join(parts) + self._words(text[at:]))

    @staticmethod
    def _words(text: str) -> str:
        return ".*?".join(re.escape(part) for part in text.split(_ANY))

    def match(self, line: str) -> bool:
        found = self._pattern.fullmatch(line)
        return found is not None and all(
            abs(_value(said) - wanted) <= self._tolerance * abs(wanted)
            for said, wanted in zip(found.groups(), self._numbers, strict=True)
        )


class _Lines:
    def __init__(self, wanted: Sequence[_Line]) -> None:
        self._wanted = wanted

    def match(self, lines: Sequence[str], *, more: bool) -> bool:
        """Whether all lines fit; `more`: the last ones may be others."""
        reached = {0}  # how many of the lines may be used up
        for wanted in self._wanted:
            if wanted.any_lines:
                reached = set(range(min(reached), len(lines) + 1))
            else:
                reached = {at + 1 for at in reached if at < len(lines) and wanted.match(lines[at])}
            if not reached:
                return False
        return more or len(lines) in reached


def _value(text: str) -> float:
    return float(text.replace(",", ""))
