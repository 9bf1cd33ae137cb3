"""`python3 …/fpga/board BITFILE DIGEST`: the worker that holds the board, run by its path.

The board's own Python runs it and sees nothing else of HawkVision's environment: only the packages
that it needs are made known here, empty, from the folder that holds them.
"""

import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for name in ("fpga", "hawkvision", "hawkvision.engines"):
    if name not in sys.modules:
        package = types.ModuleType(name)
        package.__path__ = [str(ROOT.joinpath(*name.split(".")))]
        sys.modules[name] = package

from fpga.board.worker import main

if __name__ == "__main__":
    main(sys.argv[1:])
