"""The fake TensorRT as a module, for a worker process with this folder on its path."""

import os
from typing import Any

from tests.engines.tensorrt.fake_tensorrt import FakeTensorRT
from tests.engines.tensorrt.process import DEVICE

_FAKE = FakeTensorRT(DEVICE, os.environ.get("HAWKVISION_TEST_TENSORRT", "10.3.0"))
__version__ = _FAKE.__version__


def __getattr__(name: str) -> Any:
    return getattr(_FAKE, name)
