"""Pages that are run: their commands, and whether an output is as it stands there.

| in a block `console` | means |
|---|---|
| `$ command` | a command; lines below that begin with `> ` go on with it |
| a line below | what it prints |
| `…` within a line | any text of that line |
| `…` alone | any lines, or none |
| `^C` as the last line | it is ended by Ctrl-C, once it has printed what stands above |

A block `sh` has commands that print nothing, a block `python` is a program, which prints what the
block `text` right below it says. Marks above blocks: `blocks.py`. Runs of spaces and of a table's
rules count as one, so that columns may be wider. Knows neither shells nor HawkVision.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.docs.blocks import PYTHON, SHELLS, Block, blocks

_NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?![\w.]*[A-Za-z_])")
_RUN = re.compile(r"([ ━─═])\1+")
_ANY = "…"
_INTERRUPT = "^C"
_HERE = "END_OF_THE_PROGRAM"
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
    needs: tuple[str, ...] = ()
    """Programs without which it is not run."""
    soon: bool = False
    """Whether it looks at what comes about by itself; it is run until that is there."""

    @property
    def goes_on(self) -> bool:
        """Whether it is left running while the next commands run."""
        return self.command.endswith("&")

    @property
    def interrupted(self) -> bool:
        """Whether the page ends it by Ctrl-C."""
        return self.expected[-1:] == [_INTERRUPT]

    @property
    def may_fail(self) -> bool:
        """Whether the page shows that it is refused."""
        return any(line.startswith("error: ") for line in self.expected)


def steps(page: str) -> Iterator[Step]:
    """The commands of a page that are run, in order.

    Raises ValueError for a block `console` that begins with output.
    """
    for block in blocks(page):
        if block.runs and block.language in (*SHELLS, PYTHON):
            yield from steps_of(block)


def steps_of(block: Block) -> Iterator[Step]:
    """The commands of one block. Raises ValueError for a `console` that begins with output."""
    if block.language == PYTHON:
        command = f"python - <<'{_HERE}'\n{block.body}{_HERE}"
        yield _step(block, block.line, command, (block.output or "").splitlines())
    elif block.language == "console":
        yield from _typed(block)
    else:
        yield from _script(block)


def _step(block: Block, line: int, command: str, expected: list[str] | None = None) -> Step:
    return Step(line, command, expected or [], block.tolerance, block.needs, block.soon)


def _typed(block: Block) -> Iterator[Step]:
    step: Step | None = None
    for number, line in enumerate(block.body.splitlines(), block.line):
        if line.startswith("$ "):
            if step is not None:
                yield step
            step = _step(block, number, line[2:])
        elif step is None:
            raise ValueError(f"line {number}: output without a command")
        elif (line == ">" or line.startswith("> ")) and not step.expected:
            step.command += "\n" + line[2:]
        else:
            step.expected.append(line)
    if step is not None:
        yield step


def _script(block: Block) -> Iterator[Step]:
    """A step for each line; one that ends with a backslash goes on in the next."""
    begun: list[str] = []
    for number, line in enumerate(block.body.splitlines(), block.line):
        begun.append(line)
        if not line.endswith("\\"):
            command, begun = "\n".join(begun), []
            if command.strip() and not command.startswith("#"):
                yield _step(block, number - command.count("\n"), command)


def plain(text: str) -> list[str]:
    """The lines of an output as they are compared."""
    return [_RUN.sub(r"\1", line.rstrip()) for line in _COLOURS.sub("", text).splitlines()]


def lines(texts: Sequence[str]) -> str:
    """Each on a line of its own, as programs print them."""
    return "".join(f"{text}\n" for text in texts)


def matches(step: Step, output: str) -> bool:
    """Whether a command printed what the page says; one that goes on may say more later."""
    expected = step.expected[:-1] if step.interrupted else step.expected
    wanted = _Lines([_Line(line, step.tolerance) for line in plain(lines(expected))])
    return wanted.match(plain(output), more=step.goes_on or step.interrupted)


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
