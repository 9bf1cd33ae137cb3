"""Reports as self-contained HTML (extra `report`).

Matplotlib keeps a list of fonts in the user's home unless it is told where; here the list goes with
the process, so that a report leaves nothing behind but itself.
"""

import atexit
import os
import shutil
import tempfile

_KEPT_IN = "MPLCONFIGDIR"

if _KEPT_IN not in os.environ:
    os.environ[_KEPT_IN] = tempfile.mkdtemp(prefix="hawkvision-fonts-")
    atexit.register(shutil.rmtree, os.environ[_KEPT_IN], ignore_errors=True)
