"""The one numpy device of a worker process."""

import os

from tests.engines.tensorrt.numpy_device import NumpyDevice

DEVICE = NumpyDevice(count=int(os.environ.get("HAWKVISION_TEST_GPUS", "1")))
