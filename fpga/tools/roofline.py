"""The picture of a design: how much each layer computes of what it could."""

from __future__ import annotations

from typing import Any

from hawkvision.taskbuild.report.plots import BLUE, GREY, ORANGE, new_figure, to_svg_file


def roofline(rows: list[dict[str, Any]], interval: int, name: str) -> str:
    """SVG: MACs a cycle of each layer against its MACs for each value that enters.

    A layer cannot take more than one value a cycle (the slope), nor compute more than PE x SIMD
    MACs (its own roof, grey); the point is what it does at one picture every `interval` cycles.
    """
    figure, axis = new_figure(6.8, 3.8)
    layers = [row for row in rows if "macs" in row]
    intensity = [row["macs"] / row["values_in"] for row in layers]
    built = [row["pe"] * row["simd"] for row in layers]
    used = [row["macs"] / interval for row in layers]
    ends = (min(intensity) / 2, max(intensity) * 2)
    axis.plot(ends, ends, color=GREY, linewidth=1, label="one value a cycle")
    axis.scatter(intensity, built, marker="_", s=120, color=ORANGE, label="built (PE x SIMD)")
    axis.scatter(intensity, used, s=22, color=BLUE, label="used")
    axis.set(xscale="log", yscale="log", xlabel="MACs for each value that enters")
    axis.set(ylabel="MACs a cycle", title=f"{name}: layers", ylim=(1, max(built) * 4))
    axis.legend(loc="upper left")
    return to_svg_file(figure, f"fpga-{name}")
