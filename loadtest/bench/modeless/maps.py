"""The map as tables: a row for each ladder, memory and rate, a column for each link."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loadtest.bench.modeless import experiment
from loadtest.bench.modeless.experiment import HAWKVISION, ONE_RUNG, Scenario

Cell = Mapping[str, Any]
_LINKS = (*(f"{ms:g} ms" for ms in experiment.LINKS_MS), "drops")
_SAYS = {
    HAWKVISION: "HawkVision, its rungs placed by its planner",
    ONE_RUNG: "HawkVision with one rung at the edge",
}
_EXPLAINED = (
    "How many times longer model switching's P99 is (above 1 HawkVision is ahead), by the link's "
    "round trip; behind it HawkVision's right answers in time over those of the best baseline that "
    "meets the targets. All repetitions have the same traffic; by them, or by an earlier run, ± "
    "marks what runs do not agree on within 20 %, and what points at a ratio is told the 95 % "
    "interval that it may have with other traffic. “Ends” where switching answers under 99 % in "
    "time and HawkVision does not, “ours ends” the other way round, “both end”; × where one of the "
    "two misses a target."
)
_PALER, _ORANGE, _BLUE = 60.0, "#d2691e", "#3b82c4"


def said(cell: Cell) -> str:
    """A cell in a few signs."""
    states = cell["ours"], cell["switching"]
    if "misses" in states:
        return "×"
    if states == ("saturated", "saturated"):
        text = "both end"
    elif "saturated" in states:
        text = "ours ends" if states[0] == "saturated" else "ends"
    else:
        text = "none" if cell["p99_ratio"] is None else f"{cell['p99_ratio']:.1f}"
    return text + ("" if cell["stable"] else " ±")


def _rows(cells: Sequence[Cell]) -> Iterator[tuple[tuple[str, int, float], dict[str, Cell]]]:
    places = dict.fromkeys((cell["ladder"], cell["budget"], cell["rate"]) for cell in cells)
    for place in sorted(places, key=lambda one: (one[0] != "int8", one[1] or 99, one[2])):
        found = {
            cell["link"]: cell
            for cell in cells
            if (cell["ladder"], cell["budget"], cell["rate"]) == place
        }
        yield place, found


def _good(found: Mapping[str, Cell]) -> str:
    """Goodput over the best baseline's, at the link that most cells were measured with."""
    cell = found.get(Scenario().link)
    if cell is None or cell["goodput_ratio"] is None:
        return "–"
    unstable = "" if cell["goodput_stable"] else " ±"
    return f"{cell['goodput_ratio']:.2f}{unstable} ({cell['best']})"


def _memory(budget: int) -> str:
    return str(budget or "all")


def markdown_maps(result: Mapping[str, Any]) -> str:
    """A table for each system of ours."""
    lines: list[str] = []
    for system, title in _SAYS.items():
        cells = [cell for cell in result["map"] if cell["system"] == system]
        if not cells:
            continue
        lines += [
            f"### {title}",
            "",
            f"| ladder | memory | rate | {' | '.join(_LINKS)} | goodput |",
        ]
        lines.append("|---" * (len(_LINKS) + 4) + "|")
        for (ladder, budget, rate), found in _rows(cells):
            there = " | ".join(said(found[link]) if link in found else "" for link in _LINKS)
            lines.append(f"| {ladder} | {_memory(budget)} | {rate:g} | {there} | {_good(found)} |")
        lines.append("")
    return "\n".join(lines).rstrip()


def html_maps(result: Mapping[str, Any]) -> str:
    """The same for the page, coloured."""
    parts = ["<h2>The map</h2>", f"<p>{_EXPLAINED}{_agreement(result)}</p>"]
    for system, title in _SAYS.items():
        cells = [cell for cell in result["map"] if cell["system"] == system]
        if not cells:
            continue
        head = "".join(f"<th>{name}" for name in ("ladder", "memory", "rate", *_LINKS, "goodput"))
        body = []
        for (ladder, budget, rate), found in _rows(cells):
            there = "".join(_td(found.get(link)) for link in _LINKS)
            body.append(
                f"<tr><td>{ladder}<td>{_memory(budget)}<td>{rate:g}{there}"
                f"<td>{html.escape(_good(found))}"
            )
        parts.append(
            f"<h3>{html.escape(title)}</h3><div class=scroll><table><tr>{head}{''.join(body)}"
            "</table></div>"
        )
    return "\n".join(parts)


def _td(cell: Cell | None) -> str:
    if cell is None:
        return "<td>"
    text = said(cell)
    ahead, word = cell["p99_ratio"], text.removesuffix(" ±")
    if word in ("ends", "ours ends"):
        ahead = 3.0 if word == "ends" else 1 / 3
    if ahead is None or word in ("×", "both end"):
        return f"<td>{text}"
    strength = min(abs(ahead - 1) if ahead >= 1 else 1 / ahead - 1, 2.0) / 2
    colour = _BLUE if ahead >= 1 else _ORANGE
    mixed = f"color-mix(in srgb,{colour} {_PALER * strength:.0f}%,transparent)"
    return f'<td style="background:{mixed}"{_title(cell)}>{text}'


def _title(cell: Cell) -> str:
    found = cell.get("p99_ratio_interval")
    if not found:
        return ""
    low, high = ("none" if one is None else f"{one:.1f}" for one in found)
    return f' title="{low}–{high}"'


def _agreement(result: Mapping[str, Any]) -> str:
    found = result.get("agreement")
    if not found or not found["ratios"]:
        return ""
    return (
        f" An earlier run agrees on {found['agree']} of {found['ratios']} ratios within 20 %; the "
        f"furthest is {found['furthest']:.0%} apart."
    )
