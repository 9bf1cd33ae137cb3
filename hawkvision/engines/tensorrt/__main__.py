"""`python3 …/hawkvision/engines/tensorrt JSON`: the worker that holds the GPU, run by its path.

The Python that runs it has NVIDIA's packages and nothing of HawkVision's environment: only the
packages that it needs are made known here, empty, from the folder that holds them.
"""

import sys
import types
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != HERE]
for name in ("hawkvision", "hawkvision.engines"):
    if name not in sys.modules:
        package = types.ModuleType(name)
        package.__path__ = [str(HERE.parents[2].joinpath(*name.split(".")))]
        sys.modules[name] = package

from hawkvision.engines.tensorrt.worker import main

if __name__ == "__main__":
    main(sys.argv[1:])
