"""From a model file to a session: the engine that this machine built before, or a new one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hawkvision.engines.caches import cache_folder
from hawkvision.engines.tensorrt.builder import Recipe, build
from hawkvision.engines.tensorrt.cache import EngineCache
from hawkvision.engines.tensorrt.cuda import Cuda
from hawkvision.engines.tensorrt.digest import digest_of
from hawkvision.engines.tensorrt.session import Session
from hawkvision.errors import EngineError

_log = logging.getLogger("hawkvision.engines.tensorrt")
Report = Callable[[str], None]


def open_cache() -> EngineCache | None:
    """The user's cache of built engines; None, and a warning, where it cannot be used."""
    try:
        return EngineCache(cache_folder("tensorrt"))
    except EngineError as error:
        _log.warning("%s; engines are built at every start. %s", error.message, error.hint)
        return None


def open_session(
    trt: Any,
    cuda: Cuda,
    logger: Any,
    model: Path,
    recipe: Recipe,
    cache: EngineCache | None,
    report: Report,
) -> Session:
    """Load the model's engine from the cache, or build and keep it. Raises EngineError."""
    device = cuda.device()
    machine = {
        "tensorrt": str(trt.__version__),
        "gpu": device.name,
        "capability": device.capability,
        "driver": device.driver,
    }
    key = dict(
        machine,
        model=digest_of(model),
        flavour=recipe.flavour,
        profiles=[[one.least, one.best, one.most] for one in recipe.profiles],
        level=recipe.optimisation_level,
    )
    plan = None if cache is None else cache.load("engine", key)
    if plan is not None:
        try:
            return Session(trt, cuda, logger, plan)
        except EngineError as error:
            _log.warning("%s; building it again", error.message)
    timings = (None if cache is None else cache.load("timings", machine)) or b""
    report(f"building {model.name} for {device.name}; this takes a while, once")
    built = build(trt, logger, model, recipe, timings, report)
    report(f"built {model.name}")
    session = Session(trt, cuda, logger, built.plan)
    if cache is not None:
        try:
            cache.store("engine", key, built.plan)
            if built.timings:
                cache.store("timings", machine, built.timings)
        except EngineError as error:
            _log.warning("%s %s", error.message, error.hint)
    return session
