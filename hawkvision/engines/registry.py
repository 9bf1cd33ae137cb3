"""Find and open engines by name."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Protocol

from hawkvision.engines.base import Engine, ModelSpec
from hawkvision.errors import EngineError

_GROUP = "hawkvision.engines"


class EngineFactory(Protocol):
    """Opens a model with `threads` compute threads; raises EngineError if it cannot run here."""

    def __call__(self, spec: ModelSpec, *, threads: int) -> Engine:
        """Open the model."""
        ...


def available_engines() -> list[str]:
    """Names of the registered engines; being registered does not mean that one can run here."""
    return sorted({entry.name for entry in entry_points(group=_GROUP)})


def open_engine(spec: ModelSpec, *, name: str = "onnx", threads: int = 1) -> Engine:
    """Open `spec` with the engine `name`. Raises EngineError, with the reason and what to do."""
    for entry in entry_points(group=_GROUP):
        if entry.name == name:
            factory: EngineFactory = entry.load()
            return factory(spec, threads=threads)
    raise EngineError(
        f"no engine named {name!r}", hint=f"Installed engines: {', '.join(available_engines())}."
    )
