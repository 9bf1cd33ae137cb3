"""The driver of the accelerator, over any board: checks what it talks to, sends batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fpga.board import registers

Pictures = npt.NDArray[np.uint8]
Logits = npt.NDArray[np.int32]

MAX_BATCH = 64
"""Pictures in one transfer; bounds the buffers of a board (64 of 32x32 are 197 kB)."""


class DriverError(Exception):
    """The accelerator is not what was expected, or does not answer."""


class Board(Protocol):
    """Registers and two streams."""

    def read(self, offset: int) -> int:
        """A 32-bit register. Raises DriverError."""
        ...

    def write(self, offset: int, value: int) -> None:
        """Set a 32-bit register. Raises DriverError."""
        ...

    def exchange(self, data: Pictures, count: int) -> Logits:
        """Send `data` as one packet and receive one of `count` int32. Raises DriverError."""
        ...

    def recover(self) -> None:
        """Bring the streams back after a failed exchange."""
        ...

    def watts(self) -> float | None:
        """Power drawn now, None where the board cannot tell."""
        ...

    def close(self) -> None:
        """Let go of the hardware."""
        ...


@dataclass(frozen=True)
class Measured:
    """Cycles of the last batch: one picture's way through, and from one picture to the next."""

    latency_cycles: int
    interval_cycles: int


class Accelerator:
    """The network on a board. Not for several threads at once.

    `digest` is that of the expected network (`fpga.network.network`), None takes any. Raises
    DriverError where something else answers.
    """

    def __init__(self, board: Board, digest: int | None) -> None:
        self._board = board
        found = board.read(registers.ID)
        if found != registers.IDENTITY:
            raise DriverError(f"no HawkVision accelerator: it identifies as {found:#010x}")
        version = board.read(registers.VERSION)
        if version >> 16 != registers.CURRENT_VERSION >> 16:
            raise DriverError(
                f"the bitstream has register map {version >> 16}, "
                f"this driver {registers.CURRENT_VERSION >> 16}"
            )
        self.digest = board.read(registers.DIGEST)
        if digest is not None and self.digest != digest:
            raise DriverError(
                f"the bitstream holds network {self.digest:08x}, the task expects {digest:08x}"
            )
        self.side, self.classes = board.read(registers.SIDE), board.read(registers.CLASSES)
        board.write(registers.CONTROL, registers.RESET)

    def classify(self, pictures: Pictures) -> Logits:
        """Integer logits [N, classes] of uint8 [N, side, side, 3], in transfers of `MAX_BATCH`.

        Raises DriverError; the accelerator is reset then and takes the next batch.
        """
        if pictures.dtype != np.uint8 or pictures.shape[1:] != (self.side, self.side, 3):
            raise DriverError(
                f"pictures are uint8 [N,{self.side},{self.side},3], "
                f"not {pictures.dtype} {list(pictures.shape)}"
            )
        parts = [
            self._exchange(pictures[start : start + MAX_BATCH])
            for start in range(0, len(pictures), MAX_BATCH)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.classes), np.int32)

    def _exchange(self, pictures: Pictures) -> Logits:
        count = len(pictures) * self.classes
        try:
            logits = self._board.exchange(np.ascontiguousarray(pictures).reshape(-1), count)
            if self._board.read(registers.STATUS) & registers.MISFRAMED:
                raise DriverError("the accelerator saw a packet that ended inside a picture")
        except DriverError:
            self._board.write(registers.CONTROL, registers.RESET)
            self._board.recover()
            raise
        return logits.reshape(-1, self.classes)

    def measured(self) -> Measured:
        """What the hardware counted."""
        return Measured(self._board.read(registers.LATENCY), self._board.read(registers.INTERVAL))

    def watts(self) -> float | None:
        """Power that the board draws now, where it can tell."""
        return self._board.watts()

    def close(self) -> None:
        """Let go of the board."""
        self._board.close()
