"""One self-contained HTML page: the plots, the tables, the machine, the commands."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtest.bench.modeless import experiment
from loadtest.bench.modeless.maps import html_maps, markdown_maps

_COLOURS = {
    experiment.HAWKVISION: "#3b82c4",
    experiment.ONE_RUNG: "#7fb2e5",
    experiment.SWITCHING: "#d2691e",
    experiment.TRITON: "#e8b04b",
    experiment.RESIDENT: "#2e9b63",
    experiment.SMALL: "#9a9a9a",
    experiment.LARGE: "#555555",
    experiment.REMOTE: "#8e44ad",
    experiment.ENSEMBLE: "#b22222",
}
_CSS = """
:root{--ink:#1a1a1a;--paper:#fff;--line:#ddd;--shade:#f3f3f3}
@media(prefers-color-scheme:dark){:root{--ink:#e8e8e8;--paper:#161616;--line:#333;--shade:#222}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);
max-width:1080px;margin:2rem auto;padding:0 1rem}
h2{margin-top:2.5rem}svg{max-width:100%;height:auto}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
td:first-child,th:first-child{text-align:left}.missed{opacity:.55}code{background:var(--shade)}
"""
_HEAD = (
    *("system", "rate", "P50", "P95", "P99 ms", "95 % interval", "right in time /s", "in time"),
    *("accuracy by target", "escalated", "RSS MB", "loads", "s loading", "kB/request"),
    "CPU s/1000",
)


def write_report(result: Mapping[str, Any], path: Path) -> None:
    """Write the page; plots need the extra `report`."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in result["systems"]:
        groups.setdefault(row["scenario"], []).append(row)
    parts = [_opening(result), html_maps(result), *_verdicts(result["verdicts"])]
    for number, (name, rows) in enumerate(groups.items()):
        parts += [f"<h2>{html.escape(name)}</h2>", _plot(rows, f"s{number}", result), _table(rows)]
    parts.append(_ladders(result["ladders"]))
    body = "\n".join(parts)
    page = (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f"<title>Modeless serving, measured</title><style>{_CSS}</style>{body}</html>"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, "utf-8")


def _opening(result: Mapping[str, Any]) -> str:
    machine = result["machine"]
    targets = ", ".join(f"{one:.2f}" for one in result["targets"])
    return (
        "<h1>Modeless serving, measured</h1>"
        f"<p>Poisson arrivals that wait for nobody, accuracy targets {targets} mixed, "
        f"{result['deadline_ms']:g} ms to answer. Times are from when a request was due; one "
        "without an answer counts as if it never came. Systems whose 95 % interval of the "
        "delivered accuracy lies below a target are marked × and not compared. Repetitions were "
        "interleaved and had the same traffic; by them ± marks what two runs would not agree on "
        "within 20 %. Percentiles are of all "
        "repetitions together. A system that answered fewer than half in time was not asked at "
        "higher rates.</p>"
        f"<p>{html.escape(machine['processor'])}: the edge has one core, client, link and gateway "
        f"another; {html.escape(machine['system'])}, Python {machine['python']}, "
        f"{result['date']}, seed {result['seed']}. "
        f"<code>{html.escape(result['command'])}</code></p>"
    )


def _verdicts(found: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for one in found:
        good = one["goodput"]
        said = (
            "a baseline that meets the targets keeps up with every rate"
            if good is None
            else f"HawkVision's goodput is {good['ratio']:.2f}x that of {good['best']}, the best "
            f"baseline, at {good['rate']:g}/s, where none keeps up"
            + (" (HawkVision misses a target there)" if good["missed"] else "")
        )
        lines.append(f"<li><b>{html.escape(one['scenario'])}</b>: {html.escape(said)}.")
    return ["<h2>Where the best baseline ends</h2><ul>", *lines, "</ul>"] if lines else []


def _plot(rows: Sequence[Mapping[str, Any]], name: str, result: Mapping[str, Any]) -> str:
    from hawkvision.taskbuild.report.plots import new_figure, themed

    figure, (tail, good) = new_figure(9.6, 3.4, 2)
    for system, colour in _COLOURS.items():
        found = [row for row in rows if row["name"] == system]
        if not found:
            continue
        dashed = "--" if any(row["missed"] for row in found) else "-"
        points = [row for row in found if row["p99_ms"] is not None]
        style = {"color": colour, "linestyle": dashed, "marker": "o", "markersize": 3}
        tail.plot([one["rate"] for one in points], [one["p99_ms"] for one in points], **style)
        good.plot(
            [one["rate"] for one in found],
            [one["goodput"] for one in found],
            label=system + (" ×" if dashed == "--" else ""),
            **style,
        )
    tail.axhline(result["deadline_ms"], color="#999999", linestyle=":", linewidth=1)
    tail.set(xscale="log", yscale="log", xlabel="requests per second", title="P99, ms")
    good.set(
        xscale="log", yscale="log", xlabel="requests per second", title="right in time, per second"
    )
    rates = sorted({row["rate"] for row in rows})
    for axis in (tail, good):
        axis.set_xticks(rates, [f"{rate:g}" for rate in rates])
        axis.minorticks_off()
        axis.yaxis.set_major_formatter("{x:g}")
    good.legend(fontsize=7)
    return themed(figure, name, "P99 and goodput by rate, of the table below")


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in _HEAD)
    lines = []
    for row in rows:
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in _cells(row))
        lines.append(f"<tr{' class=missed' if row['missed'] else ''}>{cells}</tr>")
    return f"<div class=scroll><table><tr>{head}</tr>{''.join(lines)}</table></div>"


def _cells(row: Mapping[str, Any]) -> list[str]:
    low, high = row["p99_ms_interval"]
    return [
        row["name"] + (" ×" if row["missed"] else ""),
        f"{row['rate']:g}",
        *(number(row[key]) for key in ("p50_ms", "p95_ms", "p99_ms")),
        f"{number(low, 0)}–{number(high, 0)}{'' if row['stable'] else ' ±'}",
        f"{row['goodput']:.1f}",
        f"{row['in_time_share']:.1%}",
        " ".join(
            f"{share:.3f}{'×' if target in row['missed'] else ''}"
            for target, share in row["accuracy"].items()
        ),
        f"{row['escalated_share']:.1%}",
        f"{row['rss_mb']:.0f}",
        str(row["loads"]),
        f"{row['load_s']:.1f}",
        f"{row['link_bytes_per_request'] / 1e3:.1f}",
        number(row["cpu_s_per_thousand"], 2),
    ]


def number(value: float | None, digits: int = 1) -> str:
    """A figure, or that it was beyond what was waited for."""
    return "none" if value is None else f"{value:.{digits}f}"


def _ladders(ladders: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    head = "".join(
        f"<th>{name}</th>"
        for name in ("variant", "precision", "accuracy", "ms", "load ms", "memory MB", "file kB")
    )
    lines = [
        f"<tr><td>{html.escape(one['name'])}</td><td>{one['precision']}</td>"
        f"<td>{one['accuracy_calibrating']:.4f}</td><td>{one['milliseconds']:.2f}</td>"
        f"<td>{one['load_milliseconds']:.0f}</td><td>{one['memory_mb']:.1f}</td>"
        f"<td>{one['kilobytes']:.0f}</td></tr>"
        for variants in ladders.values()
        for one in variants
    ]
    return (
        "<h2>The ladders</h2><p>Accuracy on the photos that also calibrated HawkVision; the "
        "traffic is of others.</p><div class=scroll><table><tr>"
        + head
        + f"</tr>{''.join(lines)}</table></div>"
    )


def tables(result: Mapping[str, Any]) -> str:
    """The map and the systems as Markdown, a table for each scenario; what the documents hold."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in result["systems"]:
        groups.setdefault(row["scenario"], []).append(row)
    lines = [markdown_maps(result), ""] if result.get("map") else []
    for name, rows in groups.items():
        lines += [f"### {name}", "", "| system | rate | P50 | P99 | right in time/s | accuracy |"
                  " loads | RSS |", "|---|---|---|---|---|---|---|---|"]  # fmt: skip
        for row in rows:
            accuracy = " ".join(
                f"{share:.3f}{'×' if target in row['missed'] else ''}"
                for target, share in row["accuracy"].items()
            )
            unstable = "" if row["stable"] else " ±"
            lines.append(
                f"| {row['name']} | {row['rate']:g} | {number(row['p50_ms'])} | "
                f"{number(row['p99_ms'])}{unstable} | {row['goodput']:.1f} | {accuracy} | "
                f"{row['loads']} | {row['rss_mb']:.0f} |"
            )
        lines.append("")
    return "\n".join(lines)
