"""Find and open engines by name."""

from __future__ import annotations

from typing import Protocol

from hawkvision import extensions
from hawkvision.engines.base import Engine, ModelSpec
from hawkvision.errors import EngineError


class EngineFactory(Protocol):
    """Opens a model with `threads` compute threads; raises EngineError if it cannot run here."""

    def __call__(self, spec: ModelSpec, *, threads: int) -> Engine:
        """Open the model."""
        ...


def available_engines() -> list[str]:
    """Names of the registered engines; being registered does not mean that one can run here."""
    return sorted(extensions.registered(extensions.ENGINES))


def open_engine(spec: ModelSpec, *, name: str = "onnx", threads: int = 1) -> Engine:
    """Open `spec` with the engine `name`. Raises EngineError, with the reason and what to do."""
    try:
        factory: EngineFactory = extensions.load(extensions.ENGINES, name)
    except KeyError as error:
        raise EngineError(
            f"no engine named {name!r}",
            hint=f"Installed engines: {', '.join(available_engines())}.",
        ) from error
    return factory(spec, threads=threads)


def flavour_of(name: str) -> str:
    """Which files of a task an engine wants: those of the flavour it names, else of its own name.

    A task that has none of that flavour gives its plain files.
    """
    try:
        factory = extensions.load(extensions.ENGINES, name)
    except KeyError:
        return name
    return str(getattr(factory, "flavour", name))
