"""Which pages are run, and with what: ports, what is there before, stand-ins for what is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_HERE = "http://127.0.0.1:8080"
_DEFAULTS = {
    "HAWKVISION_UP_PORT": "8080",
    "HAWKVISION_UP_GATEWAY_PORT": "8001",
    "HAWKVISION_EDGE_PORT": "8080",
    "HAWKVISION_DC_PORT": "8001",
    "HAWKVISION_EDGE_DEADLINE_MS": "60000",  # a machine with more to do answers no otherwise
    "HAWKVISION_CLASSIFY_URL": _HERE,
    "HAWKVISION_ACCURACY_URL": _HERE,
    "HAWKVISION_EVALUATE_URL": _HERE,
    "HAWKVISION_STREAM_SEND_URL": _HERE,
    "HAWKVISION_STREAM_OPEN_URL": _HERE,
    "HAWKVISION_STREAM_SEND_DEADLINE_MS": "60000",
}
_STOP = """python - <<'END'
from pathlib import Path
from hawkvision import roadsigns
[sign] = roadsigns.stream(1, seed=5, start=115)
Path("photo.jpg").write_bytes(sign.jpeg)
END"""
"""A drawn stop sign, of which the small rung is sure."""
_STOPS = """python - <<'END'
from io import BytesIO
from pathlib import Path
from PIL import Image
from hawkvision import roadsigns
[sign] = roadsigns.stream(1, seed=5, start=115)
Path("signs").mkdir()
for number in range(4):
    with Image.open(BytesIO(sign.jpeg)) as image:
        image.save(f"signs/{number:05d}.jpg", quality=95, subsampling=2, restart_marker_rows=1)
END"""
"""As a camera sends it, four times: 4:2:0, and a restart marker after each row."""
_ZOO = "zoo=$(python -c 'from hawkvision.repository import shipped_repository as of; print(of())')"


def _served(command: str, ready: str, log: str) -> str:
    """A service that runs in the background once this is over; the page's jobs begin at 1."""
    return f"{command} >{log} 2>&1 & disown\nuntil grep -q '{ready}' {log}; do sleep 0.05; done"


_WEB_SERVER = _served("python -u -m http.server --bind 127.0.0.1 8088", "Serving", "web.log")
_UP = _served("hawkvision up --task roadsigns", "dashboard:", "up.log")


@dataclass(frozen=True)
class Page:
    """A page of the documentation whose commands run in order, in one empty folder."""

    path: Path
    ports: tuple[int, ...] = (8080, 8001)
    defaults: Mapping[str, str] = field(default_factory=lambda: _DEFAULTS)
    needs: tuple[str, ...] = ()
    """Programs beside HawkVision and a shell's."""
    before: tuple[str, ...] = ()
    """Commands that readers have given, or whose results they have, before they begin."""
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    """What takes the place of the page's words: of hosts that are not here, say."""

    @property
    def text(self) -> str:
        """Of the file."""
        return self.path.read_text("utf-8")


DOCS = ROOT / "docs"
_CURL = ("curl",)
START = Page(DOCS / "start.md", (8080, 8001, 6380), needs=("curl", "openssl", "redis-server"))
README = Page(ROOT / "README.md", needs=_CURL, before=(_STOP,))
INSTALL = Page(DOCS / "install.md")
BRING = Page(
    DOCS / "bring-your-models.md",
    ports=(8080, 8001, 8088),
    needs=_CURL,
    before=("python -m tests.docs.models", _WEB_SERVER),
    stand_ins={"https://host/": "http://127.0.0.1:8088/", "/var/lib/hawkvision": "var-hawkvision"},
)
HTTP = Page(DOCS / "http.md", needs=_CURL, before=(_STOP, _UP))
SDK = Page(DOCS / "sdk.md", before=(_STOP, _UP))
OPERATE = Page(
    DOCS / "operate.md",
    ports=(8080, 8001, 6379),
    needs=("curl", "openssl", "redis-server"),
    before=(
        _STOP,
        "deploy/credentials . dc=dc.example edge=edge.example",
        "cp edge.pem cert.pem && cp edge.key key.pem && mkdir var-hawkvision",
        _served("redis-server --port 6379 --save ''", "Ready to accept", "redis.log"),
    ),
    stand_ins={
        "dc.example": "localhost",
        "a.near": "127.0.0.2",
        "b.near": "127.0.0.3",
        "dc.far": "127.0.0.4",
        "store.example": "localhost",
        "/var/lib/hawkvision": "var-hawkvision",
    },
)
SECURITY = Page(DOCS / "security.md")
TLS = Page(DOCS / "tls.md", needs=("curl", "openssl"), stand_ins={"dc.example": "localhost"})
UPDATES = Page(
    DOCS / "updates.md",
    ports=(8080, 8001, 8088),
    defaults={
        **_DEFAULTS,
        "HAWKVISION_EDGE_GATEWAYS": "127.0.0.1:8001",
        "HAWKVISION_UPDATES_INIT_PASSPHRASE_FILE": "passphrase",
        "HAWKVISION_UPDATES_ADD_PASSPHRASE_FILE": "passphrase",
        "HAWKVISION_UPDATES_PUBLISH_PASSPHRASE_FILE": "passphrase",
    },
    needs=("openssl",),
    before=(
        "echo a phrase that nobody guesses >passphrase",
        _ZOO,
        "mkdir -p models/roadsigns srv-models var-models",
        "cp -r $zoo/roadsigns/2 models/roadsigns/3",
        "cp -r $zoo/roadsigns srv-models; cp -r $zoo/roadsigns var-models",
        "openssl ecparam -name prime256v1 -genkey -noout -out vendor.key",
        "openssl ec -in vendor.key -pubout -out vendor.pub 2>/dev/null",
        "python -m model_signing sign key --private_key vendor.key --signature roadsigns.sig "
        "$zoo/roadsigns/2",
        _WEB_SERVER,
    ),
    stand_ins={
        "https://HOST/": "http://127.0.0.1:8088/",
        "/srv/models": "srv-models",
        "/var/lib/models": "var-models",
    },
)
PLAN = Page(DOCS / "plan.md")
LOSSY = Page(DOCS / "lossy-cameras.md", needs=_CURL, before=(_STOPS,))
GATEWAY = Page(DOCS / "gateway.md", ports=(8001, 8002), before=(_STOP,))
OIP = Page(
    DOCS / "oip.md",
    ports=(8080, 8081, 8000, 8001),
    needs=_CURL,
    before=(
        _STOP,
        _served("hawkvision dc --task roadsigns --http-port 8000", "gateway ready", "dc.log"),
        _served("hawkvision edge --task roadsigns --grpc-port 8081", "agent ready", "edge.log"),
    ),
)
PAGES = (
    START,
    README,
    INSTALL,
    BRING,
    HTTP,
    SDK,
    OPERATE,
    SECURITY,
    TLS,
    UPDATES,
    PLAN,
    LOSSY,
    GATEWAY,
    OIP,
)
"""Each has a test of its own, `test_NAME.py`, for they are spread over processes by files."""
