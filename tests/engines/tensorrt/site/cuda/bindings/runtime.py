"""The numpy device as the module `cuda.bindings.runtime`."""

from typing import Any

from tests.engines.tensorrt.process import DEVICE


def __getattr__(name: str) -> Any:
    return getattr(DEVICE, name)
