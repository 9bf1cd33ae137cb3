"""HawkVision core: accuracy targets, cascades, engines, images. Imports no service."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # so nobody imports onnxruntime before us

__version__ = "0.1.0"
