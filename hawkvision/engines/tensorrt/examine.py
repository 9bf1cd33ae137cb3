"""Would TensorRT take this file? Asked of its parser and builder, before a GPU is needed.

NVIDIA's `tensorrt` wants a driver to build. TensorRT for RTX, two wheels that are installed for
tests alone, parses and builds anywhere; its parser is the same, its builder not quite.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hawkvision.engines.tensorrt.parsing import parse
from hawkvision.errors import EngineError

FLAVOUR = "tensorrt"
_MODULES = ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings")
_RTX_LIBRARIES = "onnxruntime_ep_nv_tensorrt_rtx"
_LOAD_ORDER = ("libcudart.so*", "libtensorrt_rtx.so*", "libtensorrt_onnxparser_rtx.so*")
_BATCHES = (1, 8, 32)
_lock = threading.Lock()
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found of a file: who looked, the layers of the network, and the engine's bytes.

    `engine_bytes` is None where it was not built.
    """

    by: str
    layers: int
    engine_bytes: int | None


def present() -> bool:
    """Whether a parser is installed in this Python."""
    return any(importlib.util.find_spec(name) is not None for name in _MODULES)


def examine(path: Path, *, build: bool = False) -> Examined:
    """Parse `path`, and build it for batches of 1 to 32 if wanted.

    Raises EngineError with the node that stops it, or where no TensorRT is here.
    """
    with _lock:  # loading, and builders share what they log
        trt, builder, logger = _open()
        network = builder.create_network(_flags(trt))
        keep = parse(trt, network, path)
        by = f"{trt.__name__.removesuffix('_bindings')} {trt.__version__}"
        size = _build(builder, network, path, logger) if build else None
        layers = int(network.num_layers)
        del keep
    return Examined(by, layers, size)


def _open() -> tuple[Any, Any, Any]:
    """The first TensorRT here that makes a builder. Raises EngineError."""
    faults = []
    for name in _MODULES:
        if importlib.util.find_spec(name) is None:
            continue
        try:
            if name == "tensorrt_rtx_bindings":
                _load_rtx_libraries()
            trt: Any = importlib.import_module(name)
            logger = _make_logger(trt)
            builder = trt.Builder(logger)
        except Exception as error:  # what a broken installation raises is anybody's guess
            faults.append(f"{name}: {(str(error).splitlines() or [repr(error)])[0]}")
            continue
        if builder is not None:
            return trt, builder, logger
        faults.append(f"{name}: {logger.last or 'no builder'}")
    if faults:
        raise EngineError(
            f"tensorrt: TensorRT is installed but cannot be used here ({'; '.join(faults)[:300]})",
            hint="It needs NVIDIA's driver and the libraries that belong to it.",
        )
    raise EngineError(
        "tensorrt: no TensorRT is installed in this Python",
        hint="pip install 'tensorrt>=10.3,<12'; without a GPU docs/bring-your-models.md says how "
        "files are checked.",
    )


def _load_rtx_libraries() -> None:
    """The bindings find these only if they are loaded already."""
    found = importlib.util.find_spec(_RTX_LIBRARIES)
    for place in (found.submodule_search_locations or ()) if found is not None else ():
        for pattern in _LOAD_ORDER:
            for path in sorted(Path(place).glob(pattern))[:1]:
                ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)


def _make_logger(trt: Any) -> Any:
    class Quiet(trt.ILogger):  # type: ignore[misc]
        """Keeps the last error; whatever matters is said by the parser again."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last = ""

        def log(self, severity: Any, msg: str) -> None:
            """Called by TensorRT."""
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.last = " ".join(str(msg).split())[:300]
            _log.debug("%s", msg)

    return Quiet()


def _flags(trt: Any) -> int:
    """Strongly typed: a flag in TensorRT 10, the only way in 11 and for RTX."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _build(builder: Any, network: Any, path: Path, logger: Any) -> int:
    config = builder.create_builder_config()
    free = [network.get_input(index) for index in range(network.num_inputs)]
    profile = builder.create_optimization_profile()
    for one in free:
        shape = tuple(one.shape)
        if -1 not in shape:
            continue
        if shape.count(-1) != 1 or shape[0] != -1:
            raise EngineError(
                f"tensorrt: the input {one.name!r} of {path.name} has the shape {list(shape)}",
                hint="Only the batch may be free; export the model with a fixed image size.",
            )
        profile.set_shape(one.name, *[(batch, *shape[1:]) for batch in _BATCHES])
    if any(-1 in tuple(one.shape) for one in free):
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(
            f"tensorrt: {path.name} is parsed but cannot be built: {logger.last or 'no reason'}",
            hint="--engine onnx runs the file with ONNX Runtime.",
        )
    return int(plan.nbytes)
