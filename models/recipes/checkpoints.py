"""Checkpoints of trainings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write `state` so that a run which is stopped meanwhile finds the one before."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)
