"""Figures as inline SVG; no state is shared between them."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

BLUE, ORANGE, GREY, GREEN, RED = "#3b82c4", "#d2691e", "#888888", "#2e9b63", "#b22222"
"""Light enough on black and dark enough on white."""

_INK, _GRID, _SHADE = "#010101", "#020202", "#030303"
_THEMED = {_INK: "var(--ink)", _GRID: "var(--line)", _SHADE: "var(--shade)"}
"""Colours that the page sets, light or dark; the numbers stand for them while drawing."""
_PLAIN = {_INK: "#222222", _GRID: "#dddddd", _SHADE: "#eeeeee"}
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": _GRID,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.axisbelow": True,
    "legend.frameon": False,
}

Floats = npt.NDArray[np.floating[Any]]

_PANEL = (4.2, 3.2)
"""Inches of every chart of the page: letters are equally large in all, and legible on a phone."""


def new_figure(width: float = 6.4, height: float = 3.4, columns: int = 1) -> tuple[Figure, Any]:
    """A figure of so many axes side by side; sizes in inches."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(1, columns)
    return figure, axes


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an SVG element whose ids start with `name`; the same for the same input."""
    out = io.StringIO()
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(  # type: ignore[no-untyped-call]
            out, metadata={"Date": None, "Creator": None}
        )
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg)  # inline SVG in HTML needs none
    return svg.replace("xlink:href", "href")


def themed(figure: Figure, name: str, says: str) -> str:
    """As `to_svg`, in the colours of the page around it; `says` is for who cannot see it."""
    svg = _coloured(to_svg(figure, name), _THEMED)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(says)}" ', 1)


def to_svg_file(figure: Figure, name: str) -> str:
    """As `to_svg`, for a file of its own."""
    figure.set_facecolor("white")
    svg = _coloured(to_svg(figure, name), _PLAIN)
    return svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)


def _coloured(svg: str, colours: Mapping[str, str]) -> str:
    for number, colour in colours.items():
        svg = svg.replace(number, colour)
    return svg


def legend_below(figure: Figure, axis: Any, columns: int) -> None:
    """Under the axes, where no curve runs."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        fontsize=8.5,
        frameon=False,
        labelcolor=_INK,
    )


def from_zero(axis: Any, values: Floats, least: float) -> None:
    """A vertical axis from 0, as high as the values; a flat curve is not blown up to fill it."""
    axis.set_ylim(0, max(float(np.max(values, initial=0.0)) * 1.08, least))


def cost_plot(
    name: str,
    targets: Sequence[float],
    costs: Sequence[float],
    what: str,
    *,
    least: float,
    default: float,
    highest: float,
    beyond: float,
) -> str:
    """What each accuracy target costs; from `highest` to `beyond` none is certified.

    `what` names the cost with its unit; the axis reaches up to `least` at least.
    """
    figure, axis = new_figure(*_PANEL)
    lowest = min(targets, default=highest)
    axis.plot(targets, costs, color=BLUE, marker="o", markersize=3)
    axis.axvline(default, color=ORANGE, linestyle="--", linewidth=1, label="default target")
    axis.axvspan(highest, beyond, color=_SHADE, label="not certified")
    axis.set(xlabel="accuracy target", ylabel=what)
    axis.set_xlim(min(lowest, beyond - 0.02) - 0.002, beyond)
    from_zero(axis, np.array(costs), least)
    legend_below(figure, axis, 2)
    ends = f" From {costs[0]:.3g} at {targets[0]:g} to {costs[-1]:.3g} at {targets[-1]:g}."
    return themed(figure, name, f"Chart: {what}, by accuracy target.{ends if costs else ''}")


def risk_plot(
    coverage: Floats, risk: Floats, bound: Floats, selective: Floats, edge: float, dc: float
) -> str:
    """Errors against the share answered at the edge: the cascade with its bound, the edge alone."""
    figure, axis = new_figure(_PANEL[0], 3.7)
    axis.plot(coverage * 100, bound * 100, color=ORANGE, label="cascade, upper bound")
    axis.plot(coverage * 100, risk * 100, color=BLUE, label="cascade, observed")
    shown = coverage > 0.02
    axis.plot(
        coverage[shown] * 100,
        selective[shown] * 100,
        color=GREEN,
        linestyle=":",
        label="edge's own answers",
    )
    axis.axhline((1 - edge) * 100, color=GREY, linewidth=1, linestyle="--", label="edge alone")
    axis.axhline((1 - dc) * 100, color=GREY, linewidth=1, linestyle="-.", label="data center alone")
    axis.set(xlabel="answered at the edge (coverage), %", ylabel="wrong (risk), %", xlim=(0, 100))
    from_zero(axis, np.concatenate([bound, risk, [1 - edge, 1 - dc]]) * 100, 1.0)
    legend_below(figure, axis, 2)
    says = (
        "Chart: share of wrong answers by the share answered at the edge; "
        f"the data center alone {1 - dc:.1%}, the edge alone {1 - edge:.1%}."
    )
    return themed(figure, "risk", says)


def bins_of(confidence: Floats, right: Floats, bins: int = 12) -> list[Floats]:
    """(mean confidence, accuracy, count) of the non-empty equal-width bins."""
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    used = count > 0
    mean = np.bincount(index, confidence, bins)[used] / count[used]
    share = np.bincount(index, right, bins)[used] / count[used]
    return [mean, share, count[used].astype(float)]


def reliability_plot(name: str, when: str, confidence: Floats, right: Floats) -> str:
    """Confidence against accuracy, `when` being before or after the temperature; area = images."""
    figure, axis = new_figure(*_PANEL)
    mean, share, count = bins_of(confidence, right)
    axis.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    size = 12 + 220 * count / count.sum()
    axis.plot(mean, share, color=BLUE, linewidth=1, alpha=0.5)
    axis.scatter(mean, share, s=size, color=BLUE, alpha=0.75, clip_on=False, zorder=3)
    axis.set(title=f"{when} temperature", xlabel="confidence", ylabel="right")
    axis.set(xlim=(0, 1.03), ylim=(0, 1.05))
    says = f"Chart: share of right answers by confidence, {when} temperature scaling."
    return themed(figure, f"reliability-{name}-{when}", says)


def loss_plot(
    loss: Sequence[float], edge: Sequence[float], dc: Sequence[float], resent: Sequence[float]
) -> str:
    """Accuracy of both rungs against the share of the image that was lost."""
    figure, axis = new_figure(_PANEL[0], 3.6)
    percent = np.array(loss) * 100
    axis.plot(percent, dc, color=ORANGE, marker="o", markersize=4, label="data center, as it came")
    axis.plot(percent, edge, color=BLUE, marker="o", markersize=4, label="edge")
    axis.plot(
        percent,
        resent,
        color=GREEN,
        marker="s",
        markersize=4,
        linestyle=":",
        label="highest certified, sent again whole",
    )
    axis.set(xlabel="lost on the way, %", ylabel="accuracy")
    least = min(*edge, *dc, *resent)
    axis.set_ylim(top=min(1.005, max(*edge, *dc, *resent, least + 0.05) + 0.02))
    axis.set_ylim(bottom=max(0.0, min(least, axis.get_ylim()[1] - 0.1) - 0.02))
    legend_below(figure, axis, 1)
    says = (
        f"Chart: accuracy by the share of an image that is lost; at {percent[-1]:g}% "
        f"the edge {edge[-1]:.3f}, the data center {dc[-1]:.3f}."
    )
    return themed(figure, "loss", says)
