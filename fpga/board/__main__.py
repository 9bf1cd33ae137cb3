"""`python3 …/fpga/board BITFILE DIGEST`: the worker that holds the board, run by its path.

The board's own Python runs it and sees nothing else of HawkVision's environment: only the package
`fpga` is made known here, from the folder that this file is in.
"""

import sys
import types
from pathlib import Path

if "fpga" not in sys.modules:
    package = types.ModuleType("fpga")
    package.__path__ = [str(Path(__file__).resolve().parents[1])]
    sys.modules["fpga"] = package

from fpga.board.worker import main

if __name__ == "__main__":
    main(sys.argv[1:])
