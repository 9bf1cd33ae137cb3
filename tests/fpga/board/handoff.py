"""A hardware handoff file (.hwh) like Vivado's for our block design, cut to what pynq reads."""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

DMA_BASE, CORE_BASE = 0x4040_0000, 0x43C0_0000
_DMA = {
    "c_include_sg": "0",
    "c_micro_dma": "0",
    "c_sg_length_width": "23",
    "c_include_mm2s": "1",
    "c_include_s2mm": "1",
    "c_include_mm2s_dre": "0",
    "c_include_s2mm_dre": "0",
    "c_m_axi_mm2s_data_width": "32",
    "c_m_axi_s2mm_data_width": "32",
}


def _module(modules: Element, name: str, vlnv: str, parameters: dict[str, str]) -> Element:
    kind = vlnv.split(":")[2]
    given = {"FULLNAME": f"/{name}", "INSTANCE": name, "MODTYPE": kind, "VLNV": vlnv}
    module = SubElement(modules, "MODULE", given)
    holder = SubElement(module, "PARAMETERS")
    for key, value in parameters.items():
        SubElement(holder, "PARAMETER", NAME=key, VALUE=value)
    return module


def _bus(module: Element, name: str, kind: str, signal: str) -> None:
    ports = module.find("PORTS")
    if ports is None:
        ports = SubElement(module, "PORTS")
    SubElement(ports, "PORT", DIR="I" if kind == "SLAVE" else "O", NAME=signal)
    buses = module.find("BUSINTERFACES")
    if buses is None:
        buses = SubElement(module, "BUSINTERFACES")
    vlnv = "xilinx.com:interface:aximm:1.0"
    bus = SubElement(buses, "BUSINTERFACE", NAME=name, TYPE=kind, VLNV=vlnv)
    maps = SubElement(bus, "PORTMAPS")
    SubElement(maps, "PORTMAP", LOGICAL="AWADDR", PHYSICAL=signal)


def handoff(frequency: str | None = None) -> str:
    """XML with a Zynq-7000 at 100 MHz, an AXI DMA and the accelerator.

    `frequency`: what the tool achieved for clock 0, in MHz, if the file says so.
    """
    root = Element("EDKSYSTEM")
    SubElement(root, "SYSTEMINFO", ARCH="zynq", DEVICE="7z020", NAME="hawkvision")
    SubElement(root, "EXTERNALPORTS")
    SubElement(root, "EXTERNALINTERFACES")
    modules = SubElement(root, "MODULES")
    clocks: dict[str, str] = {}
    for index in range(4):
        clocks |= {
            f"PCW_FPGA_FCLK{index}_ENABLE": "1" if index == 0 else "0",
            f"PCW_FCLK{index}_PERIPHERAL_DIVISOR0": "5",
            f"PCW_FCLK{index}_PERIPHERAL_DIVISOR1": "2",
            f"PCW_FCLK{index}_PERIPHERAL_CLKSRC": "IO PLL",
        }
    if frequency is not None:
        clocks["PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ"] = frequency
    system = _module(
        modules, "processing_system7_0", "xilinx.com:ip:processing_system7:5.5", clocks
    )
    _bus(system, "M_AXI_GP0", "MASTER", "M_AXI_GP0_AWADDR")
    memory = SubElement(system, "MEMORYMAP")
    for name, base, bus in (
        ("axi_dma_0", DMA_BASE, "S_AXI_LITE"),
        ("hv_accel_0", CORE_BASE, "s_axi"),
    ):
        SubElement(
            memory,
            "MEMRANGE",
            ADDRESSBLOCK="Reg",
            BASENAME="C_BASEADDR",
            BASEVALUE=f"{base:#010x}",
            HIGHVALUE=f"{base + 0xFFFF:#010x}",
            INSTANCE=name,
            MASTERBUSINTERFACE="M_AXI_GP0",
            MEMTYPE="REGISTER",
            SLAVEBUSINTERFACE=bus,
        )
    dma = _module(modules, "axi_dma_0", "xilinx.com:ip:axi_dma:7.1", _DMA)
    _bus(dma, "S_AXI_LITE", "SLAVE", "s_axi_lite_awaddr")
    core = _module(modules, "hv_accel_0", "xilinx.com:module_ref:hv_accel:1.0", {})
    _bus(core, "s_axi", "SLAVE", "s_axi_awaddr")
    return ElementTree.tostring(root, encoding="unicode")
