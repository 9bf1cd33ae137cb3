"""HawkVision core: accuracy targets, cascades, engines, images. Imports no service."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hawkvision.embedded import serve as serve

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # so nobody imports onnxruntime before us

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`hawkvision.serve`, imported when it is asked for: `import hawkvision` stays light."""
    if name == "serve":
        from hawkvision.embedded import serve

        return serve
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
