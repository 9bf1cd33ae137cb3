"""How results look on a screen and in a JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table

from hawkvision.calibration import shown
from hawkvision.contract.answer import Answer
from hawkvision.taskbuild.evaluation import Row

_BESIDE_CELL = 3
"""A space on each side and a line."""


def write_json(path: Path | None, body: Any) -> None:
    """Write `body` as indented JSON; nothing where no path was given."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(orjson.dumps(body, option=orjson.OPT_INDENT_2) + b"\n")


class Screen(Console):
    """A console on which a table is never cut: where it is too narrow, lines are longer."""

    def print(self, *objects: Any, **how: Any) -> None:
        """See rich."""
        tables = [one for one in objects if isinstance(one, Table)]
        narrow = self.width
        self.width = max([narrow, *(self.uncut(one) for one in tables)])
        try:
            super().print(*objects, **how)
        finally:
            self.width = narrow

    def uncut(self, table: Table) -> int:
        """The columns that a table needs to be drawn whole, at least those of the screen."""
        narrow = self.width
        self.width = max(narrow, self._least_width(table))
        try:
            return max(self.width, self._drawn_width(table))
        finally:
            self.width = narrow

    def _drawn_width(self, table: Table) -> int:
        """Rich does not always come down to the width that it is given."""
        lines = Segment.split_lines(self.render(table))
        return max((Segment.get_line_length(line) for line in lines), default=0)

    @staticmethod
    def _least_width(table: Table) -> int:
        """So wide that no word and no number of a table has to be broken."""
        for column in table.columns:
            text = "\n".join(str(cell) for cell in (column.header, *column.cells))
            whole = text.splitlines() if column.no_wrap else text.split()
            if column.overflow != "fold":
                column.min_width = max(map(cell_len, whole), default=0)
        edges = _BESIDE_CELL * len(table.columns) + 1
        return sum(column.min_width or 0 for column in table.columns) + edges


class Folded:
    """A table that is drawn again and again: lines too long for the screen go on below.

    A terminal folds what is printed by itself, but what is drawn anew must know its height.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = console.uncut(self._table) if isinstance(console, Screen) else options.max_width
        room = options.max_width
        for line in console.render_lines(self._table, options.update(width=wide), pad=False):
            length = Segment.get_line_length(line)
            cuts = [*range(room, length, room), length]
            for part in Segment.divide(line, cuts):
                yield from part
                yield Segment.line()


def screen() -> Screen:
    """Standard output, 80 columns where it is no terminal; texts are shown as they are."""
    return Screen(markup=False, emoji=False)


def add_numbers(table: Table, *names: str) -> None:
    """Columns whose cells are never broken or cut; a name may have several lines."""
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)


def add_target(table: Table) -> None:
    """The column of accuracy targets; on a narrow screen `relative:0.02` takes two lines."""
    table.add_column("accuracy\nasked", justify="right", min_width=len("accuracy"), overflow="fold")


def said(answer: Answer) -> str:
    """What an answer says, in a few words: its label, or its kind's own fields."""
    if "label" in answer.prediction:
        return answer.label
    fields = {key: value for key, value in answer.prediction.items() if key != "confidence"}
    return ", ".join(
        f"{len(value)} {key}" if isinstance(value, list | tuple) else f"{key} {value}"
        for key, value in fields.items()
    )


def progress_bar() -> Progress:
    """A bar on standard error, shown only on a terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def results_table(task: str, rows: Sequence[Row]) -> Table:
    """Accuracy target against what was delivered, and at what cost."""
    table = Table(title=f"task {task}")
    add_target(table)
    add_numbers(table, "delivered", "95 %\ninterval", "escalated", "p50\nms", "p99\nms", "kB\nup")
    for row in rows:
        if row.achieved is None:
            highest = row.highest_certifiable
            why = (
                ("no answer", "")
                if highest is None
                else ("refused", f"at most {shown.lower(highest)}")
            )
            table.add_row(shown.target(row.target), *why)
            continue
        escalated = row.escalation_rate or 0.0
        mark = "" if row.certified else " !"
        table.add_row(
            shown.target(row.target),
            f"{row.achieved:.3f}{mark}",
            shown.interval(row.ci_low or 0.0, row.ci_high or 0.0),
            f"{escalated:.0%}",
            f"{row.p50_ms:.1f}",
            f"{row.p99_ms:.1f}",
            f"{row.edge_bytes_up / 1000:.0f}",
        )
    return table
