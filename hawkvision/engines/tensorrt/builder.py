"""TensorRT builds an engine on the GPU that will run it.

Networks are strongly typed: the types that the ONNX file says are those that are computed with, so
fp16 and int8 come in the file. That is all that TensorRT 11 has, and 10 has it too. Source:
docs.nvidia.com, TensorRT, "Strongly Typed Networks" and the migration guide from 10 to 11.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hawkvision.engines.tensorrt.parsing import parse
from hawkvision.engines.tensorrt.progress import make_monitor
from hawkvision.errors import EngineError

Report = Callable[[str], None]


@dataclass(frozen=True)
class Profile:
    """A range of batch sizes, and the one that kernels are chosen for."""

    least: int
    best: int
    most: int


ONE_IMAGE = Profile(1, 1, 1)
BATCHES = Profile(2, 8, 32)


@dataclass(frozen=True)
class Recipe:
    """How an engine is built. Profiles count only for a file whose batch is free.

    `flavour` tells files of one network apart (its precision); it is a part of the cache's key.
    """

    flavour: str = "fp32"
    profiles: Sequence[Profile] = (ONE_IMAGE, BATCHES)
    optimisation_level: int = 3


@dataclass(frozen=True)
class Built:
    """A serialized engine, and what was learnt about kernels' times."""

    plan: bytes
    timings: bytes


def build(
    trt: Any, logger: Any, path: Path, recipe: Recipe, timings: bytes, report: Report
) -> Built:
    """Build `path`, which takes seconds to minutes. Raises EngineError.

    `timings`: those of an earlier build on this GPU with this TensorRT, or empty.
    """
    builder = trt.Builder(logger)
    if builder is None:  # without a driver
        raise EngineError("tensorrt: TensorRT cannot build here: " + logger.last_error)
    network = builder.create_network(_flags(trt))
    keep = parse(trt, network, path)  # owns the weights until the engine is built
    config = builder.create_builder_config()
    config.builder_optimization_level = recipe.optimisation_level
    if hasattr(trt.BuilderFlag, "TF32"):
        config.clear_flag(trt.BuilderFlag.TF32)  # float32 stays float32
    if hasattr(config, "progress_monitor") and hasattr(trt, "IProgressMonitor"):
        config.progress_monitor = make_monitor(trt, report)
    cache = config.create_timing_cache(timings)
    if cache is None or not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    _add_profiles(builder, network, config, recipe.profiles)
    plan = builder.build_serialized_network(network, config)
    del keep
    if plan is None:
        raise EngineError(
            "tensorrt: {} cannot be built: {}".format(path.name, logger.last_error or "no reason"),
            hint="--engine onnx runs the file with ONNX Runtime.",
        )
    learnt = config.get_timing_cache()
    return Built(bytes(plan), bytes(learnt.serialize()) if learnt is not None else b"")


def _flags(trt: Any) -> int:
    """Strongly typed: a flag in TensorRT 10, the only way, with or without the flag, in 11."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _add_profiles(builder: Any, network: Any, config: Any, profiles: Sequence[Profile]) -> None:
    """Say which batch sizes there will be. Raises EngineError for other sizes that are free."""
    free = [network.get_input(index) for index in range(network.num_inputs)]
    free = [one for one in free if -1 in tuple(one.shape)]
    for one in free:
        if tuple(one.shape).count(-1) != 1 or one.shape[0] != -1:
            raise EngineError(
                f"tensorrt: the input {one.name!r} has the shape {list(one.shape)}",
                hint="Only the batch may be free; export the model with a fixed image size.",
            )
    for profile in profiles if free else ():
        shapes = builder.create_optimization_profile()
        for one in free:
            rest = tuple(one.shape)[1:]
            sizes = (profile.least, profile.best, profile.most)
            shapes.set_shape(one.name, *[(size, *rest) for size in sizes])
        config.add_optimization_profile(shapes)
