"""NVIDIA's TensorRT as a Python module: found, its version checked, its messages kept."""

from __future__ import annotations

import logging
from typing import Any

from hawkvision.errors import EngineError

_log = logging.getLogger("hawkvision.engines.tensorrt")
LEAST, MOST = 10, 11
"""Major versions that this is written for."""
_HINT = (
    "pip install 'tensorrt>=10.3,<12'; on a Jetson JetPack brings it for the system's Python "
    "(docs/deploy/jetson.md)."
)


def load_tensorrt() -> Any:
    """The module `tensorrt`. Raises EngineError that says what is missing."""
    try:
        import tensorrt
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == "tensorrt"
        said = "is not installed" if missing else f"does not load: {error}"
        raise EngineError(f"tensorrt: NVIDIA's TensorRT {said}", hint=_HINT) from error
    version = str(getattr(tensorrt, "__version__", "0"))
    major = version.split(".")[0]
    if not major.isdigit() or not LEAST <= int(major) <= MOST:
        raise EngineError(
            f"tensorrt: TensorRT {version} is installed; {LEAST}.x to {MOST}.x are read",
            hint=_HINT,
        )
    return tensorrt


def make_logger(trt: Any) -> Any:
    """TensorRT's messages in our log; `last_error` is the last that was one, cut to 300 signs."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last_error = ""

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.last_error = msg[:300]
                _log.error("%s", msg)
            elif severity == trt.ILogger.WARNING:
                _log.info("%s", msg)

    return Logger()
