"""Which pages are run, and with what: their ports, and the variables that name them by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Page:
    """A page of the documentation whose commands run in order, in one empty folder."""

    path: Path
    ports: tuple[int, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    """Programs beside HawkVision and a shell's."""

    @property
    def text(self) -> str:
        """Of the file."""
        return self.path.read_text("utf-8")


_HERE = "http://127.0.0.1:8080"

START = Page(
    ROOT / "docs" / "start.md",
    ports=(8080, 8001, 6380),
    defaults={
        "HAWKVISION_UP_PORT": "8080",
        "HAWKVISION_UP_GATEWAY_PORT": "8001",
        "HAWKVISION_EDGE_PORT": "8080",
        "HAWKVISION_DC_PORT": "8001",
        "HAWKVISION_EDGE_DEADLINE_MS": "60000",  # a machine with more to do answers no otherwise
        "HAWKVISION_CLASSIFY_URL": _HERE,
        "HAWKVISION_ACCURACY_URL": _HERE,
        "HAWKVISION_EVALUATE_URL": _HERE,
    },
    needs=("curl", "openssl", "redis-server"),
)

PAGES = (START,)
