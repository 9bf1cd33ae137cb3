"""Tasks that the parent loads once, where workers that are forked from it may use them."""

from __future__ import annotations

import logging
from pathlib import Path

from edge_agent.config import EdgeConfig
from edge_agent.loading import load_tasks
from edge_agent.local import LocalTask

_log = logging.getLogger(__name__)
_HARMLESS = frozenset({"CPUExecutionProvider", "AzureExecutionProvider"})
_TASKS = Path("/proc/self/task")


def preload(config: EdgeConfig) -> dict[str, LocalTask] | None:
    """The tasks, or None where each worker has to load its own. Raises HawkVisionError.

    A network on the CPU is memory alone, which a fork shares until it is written to: weights, and
    what was made of them for this processor, are there once for all workers. A device, a process
    behind a pipe or a thread does not survive a fork.
    """
    if not forks_well(config.engine):
        return None
    before = _threads()
    tasks = load_tasks(config)
    if _threads() - before:
        _log.warning("the engine %s has threads; each worker loads its own", config.engine)
        for local in tasks.values():
            local.close()
        return None
    return tasks


def forks_well(engine: str) -> bool:
    """Whether the engine is ONNX Runtime, built for nothing but the CPU."""
    if engine != "onnx":
        return False
    try:
        import onnxruntime
    except ImportError:
        return False
    return _HARMLESS.issuperset(onnxruntime.get_available_providers())


def _threads() -> set[str]:
    return {one.name for one in _TASKS.iterdir()} if _TASKS.is_dir() else set()
