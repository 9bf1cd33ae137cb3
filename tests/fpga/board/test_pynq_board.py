"""What pynq does not find out about a Zynq-7000."""

from __future__ import annotations

import pytest

from fpga.board.pynq_board import clocks_with_frequencies


class _Overlay:
    def __init__(self, parameters: dict[str, str], clock: dict[str, object]) -> None:
        kind = "xilinx.com:ip:processing_system7:5.5"
        self.ip_dict = {"ps": {"type": kind, "parameters": parameters}}
        self.clock_dict = {0: clock}


@pytest.mark.parametrize(
    ("parameters", "given", "wanted"),
    [
        ({}, None, 100.0),
        ({"PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ": "99.99"}, None, 99.99),
        ({"PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ": "99.99"}, 125.0, 125.0),
    ],
)
def test_a_clock_without_a_frequency_gets_one(
    parameters: dict[str, str], given: float | None, wanted: float
) -> None:
    clock: dict[str, object] = {"enable": 1, "divisor0": 5, "divisor1": 2, "frequency": given}
    assert clocks_with_frequencies(_Overlay(parameters, clock))[0]["frequency"] == wanted
