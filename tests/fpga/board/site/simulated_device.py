"""A Zynq-7000 board for the unmodified pynq: registers, an AXI DMA, DDR memory; then Verilator.

The processor's caches are modelled: a buffer has a host copy and one in DDR, and only `flush` and
`invalidate` move bytes between them, so a driver that forgets one reads garbage, as on a board.
"""

from __future__ import annotations

import ctypes
import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np

_ROOT = Path(__file__).resolve().parents[4]
if "fpga" not in sys.modules:
    _package = types.ModuleType("fpga")
    _package.__path__ = [str(_ROOT / "fpga")]
    sys.modules["fpga"] = _package

import pynq.buffer
from pynq.pl_server.device import Device
from pynqmetadata.frontends import Metadata
from pynqmetadata.views.runtime.runtime_metadata_parser import RuntimeMetadataParser

from fpga.board.driver import DriverError
from fpga.board.simulated import SimulatedBoard

DMA_BASE, CORE_BASE, SYSTEM_BASE = 0x4040_0000, 0x43C0_0000, 0xF800_0000
_SPAN = 0x1_0000
_MM2S, _S2MM = 0x00, 0x30
_CONTROL, _STATUS, _ADDRESS, _LENGTH = 0x00, 0x04, 0x18, 0x28
_HALTED, _IDLE, _INTERNAL_ERROR = 1, 2, 0x10


class Dma:
    """AXI DMA in direct register mode, as far as AMD PG021 says and pynq uses it."""

    def __init__(self, board: CountingBoard, memory: Memory) -> None:
        self._board, self._memory = board, memory
        self._reset()

    def _reset(self) -> None:
        self._registers = dict.fromkeys(range(0, 0x60, 4), 0)
        self._state = {_MM2S: _HALTED, _S2MM: _HALTED}
        self._armed: dict[int, tuple[int, int]] = {}

    def read(self, offset: int) -> int:
        base = _S2MM if offset >= _S2MM else _MM2S
        if offset - base == _STATUS:
            return self._state[base]
        return self._registers[offset]

    def write(self, offset: int, value: int) -> None:
        base = _S2MM if offset >= _S2MM else _MM2S
        kind = offset - base
        if kind == _CONTROL:
            if value & 4:
                self._reset()
                return
            self._state[base] = self._state[base] & ~_HALTED if value & 1 else _HALTED
        self._registers[offset] = value
        if kind == _LENGTH and not self._state[base] & _HALTED:
            self._state[base] &= ~_IDLE
            self._armed[base] = (self._registers[base + _ADDRESS], value)
            self._run()

    def _run(self) -> None:
        """Once both sides are armed the picture flows."""
        if len(self._armed) < 2:
            return
        source, length = self._armed.pop(_MM2S)
        target, room = self._armed.pop(_S2MM)
        data = np.frombuffer(self._memory.read(source, length), np.uint8)
        self._state[_MM2S] |= _IDLE
        if os.environ.get("HAWKVISION_TEST_FAULT") == "stuck":
            return
        try:
            found = self._board.exchange(data, self._board.expected(length))
        except DriverError:
            return  # TLAST never comes: the receiving side waits for ever
        if found.nbytes > room:
            self._state[_S2MM] |= _INTERNAL_ERROR
            return
        self._memory.write(target, found.tobytes())
        self._registers[_S2MM + _LENGTH] = found.nbytes
        self._state[_S2MM] |= _IDLE


class Memory:
    """DDR as the DMA sees it."""

    def __init__(self) -> None:
        self._bytes = bytearray(np.random.default_rng(7).bytes(1 << 22))
        self._next = 0x1000

    def place(self, length: int) -> int:
        address = self._next
        self._next += (length + 4095) & ~4095
        return address

    def read(self, address: int, length: int) -> bytes:
        return bytes(self._bytes[address : address + length])

    def write(self, address: int, data: bytes) -> None:
        self._bytes[address : address + len(data)] = data


class CountingBoard(SimulatedBoard):
    """Knows how many logits the pictures of a packet give."""

    def expected(self, length: int) -> int:
        side, classes = self.read(0x20), self.read(0x24)
        return length // (3 * side * side) * classes


class SimulatedDevice(Device):
    """Register access by callbacks; bitstreams are accepted for what their files say."""

    _probe_priority_ = 9000

    @classmethod
    def _probe_(cls) -> list[Device]:
        return []

    def __init__(self, library: str) -> None:
        super().__init__("simulated")
        self.capabilities = {"REGISTER_RW": True}
        self.name, self.arch = "simulated", "armv7l"
        self._library = library
        self._memory = Memory()
        self._board: Any = None
        self._dma: Any = None
        # PLLs at 1 GHz (50 MHz * 20), as a PYNQ-Z2 boots.
        self._system = {SYSTEM_BASE + offset: 20 << 12 for offset in (0x100, 0x104, 0x108)}

    @property
    def default_memory(self) -> SimulatedDevice:
        return self

    def get_bitfile_metadata(self, bitfile_name: str, partial: bool = False) -> Any:
        return RuntimeMetadataParser(Metadata(input=str(Path(bitfile_name).with_suffix(".hwh"))))

    def download(self, bitstream: Any, parser: Any = None) -> None:
        if not Path(bitstream.bitfile_name).read_bytes().startswith(b"BIT"):
            raise RuntimeError("not a bitstream")
        self._board = CountingBoard(Path(self._library), limit=2_000_000)
        self._dma = Dma(self._board, self._memory)
        super().post_download(bitstream, parser, self.name)

    def read_registers(self, address: int, length: int) -> bytes:
        value = 0
        if SYSTEM_BASE <= address < SYSTEM_BASE + _SPAN:
            value = self._system.get(address, 0)
        elif DMA_BASE <= address < DMA_BASE + _SPAN:
            value = self._dma.read(address - DMA_BASE)
        elif CORE_BASE <= address < CORE_BASE + _SPAN:
            value = self._board.read(address - CORE_BASE)
        return int(value).to_bytes(length, "little")

    def write_registers(self, address: int, data: bytes) -> None:
        value = int.from_bytes(bytes(data)[:4], "little")
        if SYSTEM_BASE <= address < SYSTEM_BASE + _SPAN:
            self._system[address] = value
        elif DMA_BASE <= address < DMA_BASE + _SPAN:
            self._dma.write(address - DMA_BASE, value)
        elif CORE_BASE <= address < CORE_BASE + _SPAN:
            self._board.write(address - CORE_BASE, value)

    def allocate(self, shape: tuple[int, ...], dtype: str, **_: object) -> Any:
        length = int(np.prod(shape)) * np.dtype(dtype).itemsize
        address = self._memory.place(length)
        buffer = pynq.buffer.PynqBuffer(
            shape, np.dtype(dtype), device=self, device_address=address, bo=address, coherent=False
        )
        buffer[:] = 0
        return buffer

    def flush(self, bo: int, offset: int, vaddr: int, nbytes: int) -> None:
        if os.environ.get("HAWKVISION_TEST_FAULT") != "no flush":
            self._memory.write(bo + offset, ctypes.string_at(vaddr, nbytes))

    def invalidate(self, bo: int, offset: int, vaddr: int, nbytes: int) -> None:
        if os.environ.get("HAWKVISION_TEST_FAULT") != "no invalidate":
            ctypes.memmove(vaddr, self._memory.read(bo + offset, nbytes), nbytes)


def install(library: str) -> None:
    Device.active_device = SimulatedDevice(library)
