"""The worker's side of the pipe: standard input and output carry messages and nothing else."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO


def take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Requests and replies; whatever libraries print goes to standard error from here on."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return sys.stdin.buffer, replies
