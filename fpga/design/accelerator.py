"""The accelerator as one Verilog file, with the port names that Vivado and PYNQ expect."""

from __future__ import annotations

from amaranth.lib.wiring import Flow

from fpga.design.blocks.axi import Accelerator
from fpga.design.blocks.framer import words_of_picture
from fpga.design.generate import NetworkUnit, to_verilog
from fpga.network.plan import Plan

TOP = "hv_accel"
_CORE = "hv_accel_core"
_CLOCK = (
    '(* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 aclk CLK" *)\n'
    '  (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF s_axis:m_axis:s_axi, '
    'ASSOCIATED_RESET aresetn" *)\n  input aclk'
)
_RESET = (
    '(* X_INTERFACE_INFO = "xilinx.com:signal:reset:1.0 aresetn RST" *)\n'
    '  (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)\n  input aresetn'
)


def accelerator(plan: Plan) -> Accelerator:
    """The design of a plan with its buses. Raises EngineError where its pictures fill no words."""
    network = plan.network
    words_of_picture(network.side)
    return Accelerator(NetworkUnit(plan), network.side, network.classes, network.digest)


def accelerator_verilog(plan: Plan) -> str:
    """Verilog of module `hv_accel`: `aclk`, `aresetn`, `s_axis`, `m_axis`, `s_axi`."""
    unit = accelerator(plan)
    ports, links = [_CLOCK, _RESET], [".clk(aclk)", ".rst(~aresetn)"]
    for name, member in unit.signature.members.items():
        direction = "input" if member.flow is Flow.In else "output"
        width = member.shape if isinstance(member.shape, int) else member.shape.width
        ports.append(f"{direction} {f'[{width - 1}:0] ' if width > 1 else ''}{name}")
        links.append(f".{name}({name})")
    header = ",\n  ".join(ports)
    body = f"  {_CORE} core({', '.join(links)});"
    return f"{to_verilog(unit, _CORE)}\nmodule {TOP}(\n  {header}\n);\n{body}\nendmodule\n"
