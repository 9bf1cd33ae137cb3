"""ONNX Runtime as it is installed here: imported late, and from one wheel only.

Which wheel is the user's choice (`hawkvision[cpu]`, `hawkvision[gpu]`); the core brings none.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from hawkvision.errors import EngineError

WHEELS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")
"""Distributions that all write the module `onnxruntime` (onnxruntime.ai, "Install ORT")."""

_CHOICE = "pip install 'hawkvision[cpu]', or 'hawkvision[gpu]' for an NVIDIA GPU"


def installed_wheels() -> dict[str, str]:
    """Versions of those of `WHEELS` that are installed, by name; nothing is imported."""
    found = {}
    for name in WHEELS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def check_onnx_runtime() -> None:
    """Look whether one ONNX Runtime is installed, and import nothing: for the start of commands.

    Raises EngineError, whose message holds the cure, where there is none, and where there are
    several wheels of it: they overwrite each other's files, so that what runs depends on the order
    in which they came, may be a mixture, and need not be what a certificate was made with. That is
    refused at the start rather than found out while serving.
    """
    wheels = installed_wheels()
    if len(wheels) > 1:
        named = " and ".join(f"{name} {number}" for name, number in wheels.items())
        raise EngineError(
            f"{named} are both installed and overwrite each other's files: "
            f"pip uninstall -y {' '.join(wheels)}, then {_CHOICE}"
        )
    if find_spec("onnxruntime") is None:
        raise EngineError(f"ONNX Runtime is not installed: {_CHOICE}")


def onnx_runtime() -> Any:
    """The module `onnxruntime`. Raises EngineError as `check_onnx_runtime`, or if it is broken."""
    check_onnx_runtime()
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineError(
            f"ONNX Runtime cannot be imported: {error}",
            hint="Its wheel for GPUs needs the libraries of CUDA and cuDNN that it was built for.",
        ) from error
    return onnxruntime
