"""The process that holds the board: messages on standard input and output."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fpga.board.driver import Accelerator, DriverError
from fpga.board.pynq_board import PynqBoard
from hawkvision.engines.worker.frames import read_frame, write_frame
from hawkvision.engines.worker.pipes import take_pipes


def main(arguments: list[str]) -> None:
    """Load BITFILE, expect the network DIGEST (hex), answer until the input ends."""
    requests, replies = take_pipes()
    try:
        accelerator = Accelerator(PynqBoard(Path(arguments[0])), int(arguments[1], 16))
    except DriverError as error:
        write_frame(replies, {"error": str(error)})
        return
    write_frame(replies, {"side": accelerator.side, "classes": accelerator.classes})
    serve(accelerator, requests, replies)
    accelerator.close()


def serve(accelerator: Accelerator, requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer each message `{"pictures": N}` with logits, or with `error`."""
    while (frame := read_frame(requests)) is not None:
        head, body = frame
        shape = (int(head["pictures"]), accelerator.side, accelerator.side, 3)
        try:
            logits = accelerator.classify(np.frombuffer(body, np.uint8).reshape(shape))
        except DriverError as error:
            write_frame(replies, {"error": str(error)})
            continue
        measured = accelerator.measured()
        said: dict[str, Any] = {
            "latency_cycles": measured.latency_cycles,
            "interval_cycles": measured.interval_cycles,
            "watts": accelerator.watts(),
        }
        write_frame(replies, said, logits.tobytes())
