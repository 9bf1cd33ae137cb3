"""The accelerator on a board that PYNQ runs: Overlay, DMA, physically contiguous buffers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from fpga.board.driver import DriverError, Logits, Pictures

CORE, DMA = "hv_accel_0", "axi_dma_0"
"""Instance names in the block design."""

_DMA_RESET = 0x4
"""Bit of MM2S_DMACR: resets both channels (AMD PG021)."""
_PLL_MHZ = 1000.0
"""The IO PLL of a PYNQ-Z2, from which its fabric clocks are divided."""
_SECONDS_PER_PICTURE = 0.02


class PynqBoard:
    """As `fpga.board.driver.Board`: loads `bitfile`, whose `.hwh` lies beside it.

    Raises DriverError with the reason: no board, no right to use it, another design.
    """

    def __init__(self, bitfile: Path) -> None:
        try:
            import pynq
        except ImportError as error:
            raise DriverError(f"this Python has no pynq: {error}") from error
        for path in (bitfile, bitfile.with_suffix(".hwh")):
            if not path.is_file():
                raise DriverError(f"there is no {path}")
        self._pynq: Any = pynq
        try:
            self._overlay = pynq.Overlay(str(bitfile), download=False)
            self._overlay.clock_dict = clocks_with_frequencies(self._overlay)
            self._overlay.download()
            missing = [name for name in (CORE, DMA) if name not in self._overlay.ip_dict]
            if missing:
                raise DriverError(f"{bitfile.name} has no {' and no '.join(missing)}")
            self._core = getattr(self._overlay, CORE)
            self._dma = getattr(self._overlay, DMA)
        except (RuntimeError, OSError) as error:
            raise DriverError(f"the board cannot be used: {error}") from error
        self._rails = [rail.power for rail in pynq.get_rails().values() if rail.power is not None]
        self._source: Any = None
        self._target: Any = None

    def read(self, offset: int) -> int:
        """See `Board`."""
        return int(self._core.read(offset))

    def write(self, offset: int, value: int) -> None:
        """See `Board`."""
        self._core.write(offset, value)

    def exchange(self, data: Pictures, count: int) -> Logits:
        """See `Board`: one transfer each way; the receiving side is armed first."""
        self._allocate(len(data), count)
        self._source[: len(data)] = data
        send, receive = self._dma.sendchannel, self._dma.recvchannel
        deadline = time.monotonic() + 0.5 + _SECONDS_PER_PICTURE * (1 + len(data) / 3072)
        try:
            receive.transfer(self._target, nbytes=4 * count)
            send.transfer(self._source, nbytes=len(data))
            for name, channel in (("pictures", send), ("logits", receive)):
                while not channel.idle and not channel.error:
                    if time.monotonic() > deadline:
                        raise DriverError(f"the transfer of the {name} did not end in time")
                channel.wait()
        except (RuntimeError, ValueError) as error:
            raise DriverError(f"DMA: {error}") from error
        if receive.transferred != 4 * count:
            raise DriverError(f"{receive.transferred // 4} of {count} logits came")
        return np.array(self._target[:count], np.int32)

    def _allocate(self, length: int, count: int) -> None:
        """Grow the buffers to `length` bytes and `count` int32."""
        if self._source is None or len(self._source) < length:
            self._source = self._pynq.allocate((length,), "u1")
        if self._target is None or len(self._target) < count:
            self._target = self._pynq.allocate((count,), "i4")

    def recover(self) -> None:
        """Reset the DMA engine and start both channels again."""
        self._dma.write(0x00, _DMA_RESET)
        deadline = time.monotonic() + 0.1
        while self._dma.read(0x00) & _DMA_RESET:
            if time.monotonic() > deadline:
                raise DriverError("the DMA engine does not come out of its reset")
        for channel in (self._dma.sendchannel, self._dma.recvchannel):
            channel.start()

    def watts(self) -> float | None:
        """The sum of the board's power rails; a PYNQ-Z2 has no sensors."""
        return float(sum(power.value for power in self._rails)) if self._rails else None

    def close(self) -> None:
        """Give the buffers back; the design stays loaded."""
        self._source = self._target = None


def clocks_with_frequencies(overlay: Any) -> dict[int, dict[str, Any]]:
    """The clocks of a design with what pynq 4.0.0 does not find for Zynq-7000: their MHz.

    It looks for a parameter of another family and then fails in `download`. The design tool's own
    figure is taken where the `.hwh` has it, else what the divisors give.
    """
    found = {}
    parameters: dict[str, Any] = {}
    for block in overlay.ip_dict.values():
        if block.get("type", "").startswith("xilinx.com:ip:processing_system7"):
            parameters = block.get("parameters", {})
    for index, given in dict(overlay.clock_dict.items()).items():
        clock = dict(given)
        if clock.get("frequency") is None and "divisor0" in clock:
            achieved = parameters.get(f"PCW_ACT_FPGA{index}_PERIPHERAL_FREQMHZ")
            divided = _PLL_MHZ / max(1, clock["divisor0"] * clock["divisor1"])
            clock["frequency"] = float(achieved) if achieved is not None else divided
        found[index] = clock
    return found
