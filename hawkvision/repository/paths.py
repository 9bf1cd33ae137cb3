"""Where the repository that ships with HawkVision lies, and that updates leave it alone."""

from __future__ import annotations

from pathlib import Path

import hawkvision
from hawkvision.errors import InvalidRequest


def shipped_repository() -> Path:
    """The zoo inside an installed wheel, or `models/zoo` of a checkout."""
    package = Path(hawkvision.__file__).parent
    installed = package / "zoo"
    return installed if installed.is_dir() else package.parent / "models" / "zoo"


def updatable(repository: Path) -> Path:
    """`repository`, for updates to write to.

    Raises InvalidRequest for the one that ships: it belongs to the package, whose next version
    replaces it.
    """
    if repository.resolve() == shipped_repository().resolve():
        raise InvalidRequest(
            "updates are not written into the tasks that ship with HawkVision",
            hint="--model-repository: a folder of your own; copies of tasks may lie in it.",
        )
    return repository
