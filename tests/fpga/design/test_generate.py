"""The Verilog that is generated, as text."""

from __future__ import annotations

import pytest

pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")

from fpga.design.accelerator import accelerator_verilog
from fpga.design.generate import to_verilog, units
from hawkvision.errors import EngineError
from tests.fpga.networks import plan_for, random_network

NETWORK = random_network(8, (2, 4), 1, seed=1)
PLAN = plan_for(NETWORK, 640)


def test_verilog_names_no_file_of_the_machine_that_wrote_it() -> None:
    text = accelerator_verilog(PLAN)
    assert ".py" not in text and "(* src" not in text
    assert text == accelerator_verilog(PLAN)


def test_every_part_of_a_network_is_a_unit_and_so_is_what_is_around_it() -> None:
    parts = [part.name for part in NETWORK.parts()]
    assert list(units(PLAN)) == [*parts, "framer", "width_converter", "control"]


def test_without_a_yosys_that_writes_verilog_the_reason_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AMARANTH_USE_YOSYS", "system")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EngineError, match="no Verilog") as raised:
        to_verilog(units(PLAN)["control"](), "part")
    assert "hawkvision[fpga]" in raised.value.hint
