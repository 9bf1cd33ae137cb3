"""Puts the simulated board under pynq where the worker process starts; see `simulated_device`."""

import importlib.util
import os

if os.environ.get("HAWKVISION_TEST_BOARD") and importlib.util.find_spec("pynq"):
    import simulated_device  # type: ignore[import-not-found]

    simulated_device.install(os.environ["HAWKVISION_TEST_BOARD"])
