"""Where the repository that ships with HawkVision lies."""

from __future__ import annotations

from pathlib import Path

import hawkvision


def shipped_repository() -> Path:
    """The zoo inside an installed wheel, or `models/zoo` of a checkout."""
    package = Path(hawkvision.__file__).parent
    installed = package / "zoo"
    return installed if installed.is_dir() else package.parent / "models" / "zoo"
