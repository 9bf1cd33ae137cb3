"""The report of a design: what was measured, beside what others published for the same chip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.table import Table

from fpga.tools.measure import RESOURCES, Sized
from fpga.tools.sizing import XC7Z020


@dataclass(frozen=True)
class Anchor:
    """A published result on an xc7z020: latency of one picture in ms, top-1 in percent."""

    name: str
    top1: float
    latency_ms: float
    clock_mhz: float
    lut: int | None
    dsp: int | None
    bram36: float | None
    source: str


ANCHORS = (
    Anchor(
        "fpgaConvNet ResNet-8 INT8, on a ZedBoard",
        86.0,
        0.411,
        143,
        47_000,
        211,
        93,
        "MLPerf Tiny v1.1 closed; measured on the board",
    ),
    Anchor(
        "FINN CNV W1A1, on a PYNQ-Z2",
        84.5,
        1.51,
        100,
        24_502,
        0,
        100,
        "MLPerf Tiny v0.7 open; measured on the board",
    ),
    Anchor(
        "FINN CNV W2A2, on a PYNQ-Z1",
        89.03,
        1.621,
        100,
        37_302,
        32,
        140,
        "Xilinx/BNN-PYNQ; measured on the board",
    ),
    Anchor(
        "hls4ml ResNet 8 bit, on a PYNQ-Z2",
        83.5,
        7.64,
        100,
        None,
        None,
        None,
        "MLPerf Tiny v1.0 open; measured on the board",
    ),
)


def layer_table(rows: list[dict[str, Any]], sized: Sized) -> Table:
    """Each part of a design, and their sum."""
    names = ("part", "MACs", "bits", "PE x SIMD", "cycles", "LUT", "FF", "DSP", "BRAM36")
    table = Table(*names)
    for row in rows:
        layer = ("", "", "", "")
        if "macs" in row:
            packed = f" ({row['packed']} in DSP)" if row["packed"] else ""
            layer = (
                f"{row['macs']:,}",
                f"W{row['weight_bits']}A{row['in_bits']}",
                f"{row['pe']} x {row['simd']}{packed}",
                f"{row['cycles']:,}",
            )
        taken = [f"{row[name]:,g}" for name in RESOURCES]
        table.add_row(row["part"], *layer, *taken)
    table.add_section()
    total = [f"{getattr(sized.total, name):,g}" for name in RESOURCES]
    table.add_row("all", "", "", "", "", *total)
    shares = [f"{share:.0%}" for share in sized.shares.values()]
    table.add_row("of an xc7z020", "", "", "", "", *shares)
    return table


def anchor_table(body: dict[str, Any]) -> Table:
    """This design above what others published; `ms` is for one picture."""
    table = Table("design", "top-1", "ms", "MHz", "LUT", "DSP", "BRAM36")
    top1 = "not measured" if body["top1"] is None else f"{body['top1']:.1%}"
    table.add_row(
        f"HawkVision {body['profile']}; simulated, sized by yosys, clock assumed",
        top1,
        f"{body['latency_ms']:.3f}",
        "100",
        f"{body['lut']:,}",
        str(body["dsp"]),
        f"{body['bram36']:g}",
    )
    for anchor in ANCHORS:
        table.add_row(
            f"{anchor.name}; {anchor.source}",
            f"{anchor.top1:g} %",
            f"{anchor.latency_ms:g}",
            f"{anchor.clock_mhz:g}",
            *(
                "" if value is None else f"{value:,g}"
                for value in (anchor.lut, anchor.dsp, anchor.bram36)
            ),
        )
    return table


def report_body(
    simulated: dict[str, Any], sized: Sized, rows: list[dict[str, Any]], top1: float | None
) -> dict[str, Any]:
    """What `fpga report --json` writes."""
    chip = {name: getattr(XC7Z020, name) for name in RESOURCES}
    return {
        "profile": simulated["profile"],
        "top1": top1,
        "latency_cycles": simulated["latency_cycles"],
        "interval_cycles": simulated["interval_cycles"],
        **{name: getattr(sized.total, name) for name in RESOURCES},
        "bit_exact_images": simulated["bit_exact_images"],
        "bit_exact_images_stalled": simulated["bit_exact_images_stalled"],
        "images": simulated["images"],
        "pictures": simulated["pictures"],
        "latency_ms": simulated["latency_ms"],
        "shares": sized.shares,
        "chip": chip,
        "synthesis": sized.tool,
        "layers": rows,
    }
