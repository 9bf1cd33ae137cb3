"""An ONNX Runtime session with the best provider that takes the file, and why no better one does.

ONNX Runtime falls back by itself too, in silence: where a provider's libraries do not load, where
it refuses a file, and in the middle of serving when it fails. All of that is switched off here,
because a certificate holds for what computes: what is not the provider that was asked for is said.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hawkvision.engines.base import ModelSpec
from hawkvision.engines.caches import cache_folder, private_folder
from hawkvision.engines.providers import (
    ASKED,
    CPU,
    CUDA,
    DEVICES,
    SAID,
    TENSORRT,
    Device,
    Input,
    Providers,
    Refusal,
    cuda_options,
    shares,
    taken,
    tensorrt_options,
)
from hawkvision.engines.tensorrt.digest import digest_of
from hawkvision.errors import EngineError

_log = logging.getLogger(__name__)
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wanted of ONNX Runtime."""

    device: Device = "best"
    threads: int = 1
    optimise: bool = True
    graphs: bool = False

    @property
    def engine(self) -> str:
        """The registered name."""
        name = "onnx" if self.device == "best" else f"onnx-{self.device}"
        return f"{name}-graph" if self.graphs else name


@dataclass(frozen=True, slots=True)
class Given:
    """A session, which provider it computes with first, and why that one."""

    session: Any
    provider: str
    reason: str


class NotTaken(Exception):
    """A provider that does not run this file here."""


def open_session(ort: Any, spec: ModelSpec, asked: Asked) -> Given:
    """Open `spec` with the first provider that takes it.

    `onnx` falls back to the next; an engine that names a provider does not. Raises EngineError.
    """
    present = list(ort.get_available_providers())
    absent = [name for name in ASKED[asked.device] if name not in present]
    refusals: list[Refusal] = []
    for name in (name for name in ASKED[asked.device] if name in present):
        try:
            session, note = _try(ort, spec, asked, name, present)
        except NotTaken as error:
            refusals.append(Refusal(name, str(error)))
            if asked.device == "best" and name != CPU:
                _log.warning("%s: %s; falling back", spec.path.name, refusals[-1])
            continue
        return Given(session, name, _reason(asked, name, note, refusals, absent))
    raise _failure(ort, spec, asked, refusals, absent)


def _reason(
    asked: Asked, name: str, note: str, refusals: Sequence[Refusal], absent: Sequence[str]
) -> str:
    said = [note] if note else []
    if asked.device != "best":
        return "; ".join(said) or "as asked"
    said += [str(one) for one in refusals]
    better = [SAID[one] for one in absent if list(SAID).index(one) < list(SAID).index(name)]
    if better:
        said.append(f"this ONNX Runtime has no {' and no '.join(better)}")
    return "; ".join(said) or "the best there is"


def _failure(
    ort: Any, spec: ModelSpec, asked: Asked, refusals: Sequence[Refusal], absent: Sequence[str]
) -> EngineError:
    """Why nothing that was asked for runs the file."""
    if refusals and refusals[-1].provider == CPU:
        return EngineError(
            f"ONNX Runtime cannot load {spec.path.name}: {refusals[-1].why}",
            hint="Check the file with `hawkvision models verify`.",
        )
    if refusals:
        return EngineError(
            f"{asked.engine}: {spec.path.name} does not run with {refusals[-1]}",
            hint="--engine onnx falls back to what does, and says so.",
        )
    return EngineError(
        f"{asked.engine}: ONNX Runtime {ort.__version__} was built without {SAID[absent[0]]}",
        hint="pip uninstall onnxruntime; pip install 'onnxruntime-gpu[cuda,cudnn]'.",
    )


def _try(
    ort: Any, spec: ModelSpec, asked: Asked, name: str, present: Sequence[str]
) -> tuple[Any, str]:
    """A session of this provider that has run once, and how the nodes are shared out.

    Raises NotTaken.
    """
    options = _options(ort, asked)
    if name != CPU:
        _preload(ort)
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        given = {}
        if name == TENSORRT:
            given[TENSORRT] = tensorrt_options(spec, _input(ort, spec.path), _folder(ort, spec))
        if name != CPU:
            given[CUDA] = cuda_options(graphs=asked.graphs)
        providers = Providers(name, given, present)
        session = ort.InferenceSession(
            str(spec.path), options, providers=providers.as_argument(), enable_fallback=0
        )
        session.disable_fallback()
        if session.get_providers()[0] != name:
            raise NotTaken("its libraries do not load; ONNX Runtime's message is above")
        counts = taken(session) if name != CPU else {}
        if counts and not counts.get(name):
            raise NotTaken("takes no node of this file")
        if name != CPU and not asked.graphs:
            _run_once(session)
    except NotTaken:
        raise
    except EngineError as error:
        raise NotTaken(error.message) from error
    except Exception as error:  # ONNX Runtime raises its own, unexported, types
        raise NotTaken(first_line(error)) from error
    return session, shares(counts)


def _options(ort: Any, asked: Asked) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = asked.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not asked.optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _input(ort: Any, path: Path) -> Input:
    """The file's input, read on the CPU."""
    options = _options(ort, Asked(optimise=False))
    plain = ort.InferenceSession(str(path), options, providers=[CPU], enable_fallback=0)
    first = plain.get_inputs()[0]
    return Input(first.name, tuple(first.shape))


def _run_once(session: Any) -> None:
    """Grey images of the file's own size: some providers refuse a file only when it runs."""
    inputs = session.get_inputs()
    image = Input(inputs[0].name, tuple(inputs[0].shape))
    dtype = _TYPES.get(inputs[0].type)
    if len(inputs) != 1 or not image.fixed or dtype is None:
        return
    batch = 1 if image.free_batch else image.shape[0]
    session.run(None, {image.name: np.full((batch, *image.shape[1:]), 128, dtype)})


def _folder(ort: Any, spec: ModelSpec) -> Path | None:
    """Where this file's engine and timings are kept; None, and a warning, where that cannot be."""
    try:
        whole = private_folder(cache_folder("onnxruntime"))
        part = f"{digest_of(spec.path)[:32]}-{ort.__version__}"
        return private_folder(whole / part)
    except EngineError as error:
        _log.warning("%s; engines are built at every start. %s", error.message, error.hint)
        return None


def _preload(ort: Any) -> None:
    """CUDA's libraries out of NVIDIA's own wheels, where those are installed."""
    if hasattr(ort, "preload_dlls") and importlib.util.find_spec("nvidia") is not None:
        ort.preload_dlls()


def first_line(error: Exception) -> str:
    """What an error says, without the rest of its page."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def device_of(provider: str) -> Device:
    """`cuda` for CUDA's provider."""
    return DEVICES[provider]
