"""The accelerator in Verilator as a board: registers by bus cycles, packets by streams."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

from fpga.board.driver import DriverError, Logits, Pictures

_SIGNATURES: tuple[tuple[str, Any, list[Any]], ...] = (
    ("board_new", ctypes.c_void_p, []),
    ("board_delete", None, [ctypes.c_void_p]),
    ("board_cycle", ctypes.c_uint64, [ctypes.c_void_p]),
    (
        "board_write",
        ctypes.c_int,
        [ctypes.c_void_p, *[ctypes.c_uint32] * 3, *[ctypes.c_int] * 3],
    ),
    ("board_read", ctypes.c_int64, [ctypes.c_void_p, ctypes.c_uint32, *[ctypes.c_int] * 2]),
    (
        "board_exchange",
        ctypes.c_long,
        [
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_long,
            ctypes.c_void_p,
            ctypes.c_long,
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_uint64,
            ctypes.c_long,
        ],
    ),
)
_SILENT, _BROKEN = -1, -2
_CHANGED = -(1 << (8 * ctypes.sizeof(ctypes.c_long) - 1))


def _answered(result: int, offset: int) -> int:
    if result == _SILENT:
        raise DriverError(f"no answer on the control bus at {offset:#x}")
    if result == _BROKEN:
        raise DriverError(f"the accelerator broke a rule of the control bus at {offset:#x}")
    return result


class SimulatedBoard:
    """As `fpga.board.driver.Board`, over the library of `fpga.tools.axi_simulation.board_library`.

    `limit`: cycles after which an exchange is given up. `stall_in` and `stall_out` are the percents
    of cycles in which the streams stand still; `address_after`, `data_after` and `answer_after` the
    cycles after which the control bus offers an address and data and takes an answer. DriverError
    where the accelerator breaks a rule of its buses. Not for several threads at once.
    """

    def __init__(self, library: Path, *, limit: int = 50_000_000) -> None:
        self._library = ctypes.CDLL(str(library))
        for name, result, arguments in _SIGNATURES:
            function = getattr(self._library, name)
            function.restype, function.argtypes = result, arguments
        self._limit = limit
        self._board = self._library.board_new()
        self._exchanges = 0
        self.stall_in = self.stall_out = 0
        self.address_after = self.data_after = self.answer_after = 0

    @property
    def cycle(self) -> int:
        """Clock cycles since the start."""
        return int(self._library.board_cycle(self._board))

    def read(self, offset: int) -> int:
        """See `Board`."""
        delays = self.address_after, self.answer_after
        return _answered(int(self._library.board_read(self._board, offset, *delays)), offset)

    def write(self, offset: int, value: int, strobe: int = 0xF) -> None:
        """See `Board`; `strobe` has a bit for each byte."""
        delays = self.address_after, self.data_after, self.answer_after
        _answered(self._library.board_write(self._board, offset, value, strobe, *delays), offset)

    def exchange(self, data: Pictures, count: int) -> Logits:
        """See `Board`; the bytes fill whole words."""
        words = np.ascontiguousarray(data).reshape(-1).view(np.uint32)
        out = np.zeros(count, np.int32)
        self._exchanges += 1
        found = self._library.board_exchange(
            self._board,
            words.ctypes.data,
            len(words),
            out.ctypes.data,
            count,
            self.stall_in,
            self.stall_out,
            self._exchanges,
            self._limit,
        )
        if found == _CHANGED:
            raise DriverError("the accelerator broke a rule of its output stream")
        if found != count:
            came = found if found >= 0 else -1 - found
            raise DriverError(f"{came} of {count} logits came")
        return out

    def recover(self) -> None:
        """See `Board`; there is nothing between the streams and the accelerator."""

    def watts(self) -> float | None:
        """See `Board`."""
        return None

    def close(self) -> None:
        """Free the model."""
        if self._board:
            self._library.board_delete(self._board)
            self._board = None
