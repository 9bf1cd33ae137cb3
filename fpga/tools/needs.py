"""What the tools need of the machine, in one line where it is missing: programs and modules."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hawkvision.errors import EngineError

_OURS = ("fpga", "hawkvision")
_EXTRAS = {"matplotlib": "report"}
"""Where a module is in another extra than `fpga`."""


@dataclass(frozen=True)
class Need:
    """Programs without which there is no `purpose`; `install` brings them."""

    purpose: str
    programs: tuple[str, ...]
    install: str

    def why_not(self) -> str | None:
        """What is not installed here, or None."""
        missing = [name for name in self.programs if shutil.which(name) is None]
        return f"not installed: {', '.join(missing)}" if missing else None

    def check(self) -> None:
        """Raise EngineError where a program is missing."""
        reason = self.why_not()
        if reason is not None:
            raise EngineError(f"no {self.purpose}: {reason}", hint=self.install)


SIMULATION = Need("simulation", ("verilator", "g++"), "apt-get install verilator g++")
SYNTHESIS = Need("sizing", ("yosys",), "apt-get install yosys berkeley-abc")


@contextmanager
def naming_missing_modules(who: str) -> Iterator[None]:
    """Raise EngineError, which names the extra, where `who` imports what is not installed."""
    try:
        yield
    except ImportError as error:
        module = (error.name or str(error)).split(".")[0]
        if module in _OURS:
            raise
        absent = isinstance(error, ModuleNotFoundError)
        why = "is not installed" if absent else f"cannot be imported: {error}"
        raise EngineError(
            f"{who} needs the module {module}, which {why}",
            hint=f"pip install 'hawkvision[{_EXTRAS.get(module, 'fpga')}]'",
        ) from error
