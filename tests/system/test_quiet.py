"""No process of ours connects to, or writes, what its configuration does not name.

Serving, calibrating and every command run as a user would run them, outside of continuous
integration and with an empty home, while strace notes each system call that leaves the process.
"""

from __future__ import annotations

import ast
import ipaddress
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.models import LABELS, build_tiny_repository, coloured_jpeg
from tests.taskbuild.strangers import write_large, write_photos, write_small

ROOT = Path(__file__).resolve().parents[2]
OURS = ("hawkvision", "edge_agent", "dc_gateway", "fpga", "loadtest", "models")
IMPORTS = (
    "import time, edge_agent.command, edge_agent.agent, dc_gateway.command, dc_gateway.server, "
    "hawkvision.client, hawkvision.client.lossy, hawkvision.taskbuild.report.calibration, "
    "hawkvision.taskbuild.quantization, fpga.command, fpga.network.reference, "
    "loadtest.bench.command; import onnxruntime, onnxruntime.quantization; time.sleep(1)"
)
pytestmark = pytest.mark.timeout(600)
_FOR_ITSELF = ("CI", "HOME", "TMPDIR", "ORT_DISABLE_TELEMETRY", "MPLCONFIGDIR", "COLUMNS")


@dataclass
class Scene:
    """Where things lie while they are watched, and what was noted (None: without strace)."""

    folder: Path
    strace: bool
    calls: list[str] = field(default_factory=list)

    @property
    def home(self) -> Path:
        """The user's, empty at the start."""
        return self.folder / "home"

    @property
    def work(self) -> Path:
        """The current folder, and all that commands are told to write."""
        return self.folder / "work"

    @property
    def temporary(self) -> Path:
        """TMPDIR."""
        return self.folder / "tmp"

    def start(self, *words: str) -> subprocess.Popen[str]:
        """`python WORDS`, watched."""
        trace = self.folder / f"{len(list(self.folder.glob('trace-*')))}.txt"
        trace = trace.with_name(f"trace-{trace.name}")
        trace.touch()
        watch = ["strace", "-f", "-qq", "-y", "--seccomp-bpf", "-o", str(trace)]
        watch += ["-e", "trace=%network,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2"]
        kept = {key: value for key, value in os.environ.items() if not _own(key)}
        return subprocess.Popen(
            [*(watch if self.strace else []), sys.executable, *words],
            cwd=self.work,
            env={
                **kept,
                "HOME": str(self.home),
                "TMPDIR": str(self.temporary),
                "PYTHONPATH": str(ROOT),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str) -> str:
        """`python WORDS` to its end."""
        process = self.start(*words)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        return output

    def command(self, *words: str) -> str:
        """`hawkvision WORDS` to its end."""
        return self.run("-m", "hawkvision.cli", *words)


def _own(name: str) -> bool:
    return name in _FOR_ITSELF or name.startswith(("XDG_", "HAWKVISION_", "PYTEST_"))


def can_trace() -> bool:
    """Whether strace is installed and may watch here."""
    if shutil.which("strace") is None:
        return False
    command = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", os.devnull, "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Everything that a user does, done once."""
    played = Scene(tmp_path_factory.mktemp("quiet"), can_trace())
    for folder in (played.home, played.work, played.temporary):
        folder.mkdir()
    work = played.work
    write_small(work)
    write_large(work)
    write_photos(work / "photos")
    (work / "photo.jpg").write_bytes(coloured_jpeg(LABELS[0], seed=3))
    repository = str(build_tiny_repository(work / "repository"))
    played.run("-c", IMPORTS)
    large = "large.onnx,labels=large.txt"
    played.command(
        *("calibrate", "--edge", "small.onnx,labels=small.txt,fit=stretch", "--dc", large),
        *("--data", "photos", "--split", "val", "--out", "tasks", "--report", "report.html"),
    )
    played.command("quantize", f"{large},normalize=imagenet", "--data", "photos", "--split", "val")
    played.command("models", "verify", "--model-repository", repository)
    up = played.start(
        *("-m", "hawkvision.cli", "up", "--port", "0", "--gateway-port", "0"),
        *("--model-repository", repository),
    )
    try:
        url = _url(up)
        for accuracy in ("0.5", "0.95"):
            played.command("classify", "photo.jpg", "--accuracy", accuracy, "--url", url)
        played.command("stream", "send", "photo.jpg", "--suite", "none", "--url", url)
        played.command("accuracy", "--url", url)
    finally:
        _stop(up)
    for trace in played.folder.glob("trace-*"):
        played.calls += trace.read_text("utf-8", "replace").splitlines()
    return played


def _url(up: subprocess.Popen[str]) -> str:
    assert up.stdout is not None
    for line in up.stdout:
        if found := re.search(r"try: .*'(http://[\d.:]+)/", line):
            return found.group(1)
    raise AssertionError("the services did not get ready")


def _stop(up: subprocess.Popen[str]) -> None:
    """End the services as Ctrl-C would; strace hands no signal on, so its child is told."""
    assert up.stdout is not None
    children = Path(f"/proc/{up.pid}/task/{up.pid}/children").read_text().split()
    watched = Path(f"/proc/{up.pid}/comm").read_text().strip() == "strace"
    os.kill(int(children[0]) if watched else up.pid, signal.SIGTERM)
    with up.stdout:
        for _ in up.stdout:
            pass
    assert up.wait(60) == 0


def test_the_home_stays_empty(scene: Scene) -> None:
    assert [str(path.relative_to(scene.home)) for path in scene.home.rglob("*")] == []


def test_what_was_put_aside_is_cleared_away(scene: Scene) -> None:
    assert list(scene.temporary.iterdir()) == []


def test_nothing_is_reached_but_this_machine(scene: Scene) -> None:
    if not scene.strace:
        pytest.skip("strace is not installed, or may not watch here")
    reached = set(addresses(scene.calls))
    assert "127.0.0.1" in reached  # it was watched at all
    assert {one for one in reached if not is_this_machine(one)} == set()


def test_nothing_is_written_but_what_was_named(scene: Scene) -> None:
    if not scene.strace:
        pytest.skip("strace is not installed, or may not watch here")
    written = set(files(scene.calls, scene.work))
    assert scene.work / "report.html" in written  # it was watched at all
    named = (scene.work, scene.temporary, Path("/dev"), Path("/proc"))
    assert (
        sorted(path for path in written if not any(path.is_relative_to(folder) for folder in named))
        == []
    )


def is_this_machine(address: str) -> bool:
    """Whether it is a loopback address; gRPC may write IPv4's as IPv6."""
    found = ipaddress.ip_address(address)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def addresses(calls: list[str]) -> Iterator[str]:
    """The IP addresses that system calls send to or connect to."""
    for call in calls:
        if re.search(r"\b(connect|sendto|sendmsg|sendmmsg)\(", call):
            yield from re.findall(r'sin_addr=inet_addr\("([^"]+)"\)', call)
            yield from re.findall(r'inet_pton\(AF_INET6, "([^"]+)"', call)


def files(calls: list[str], folder: Path) -> Iterator[Path]:
    """The files and folders that system calls make, or open for writing."""
    for call in calls:
        found = re.search(r"\b(open|openat|creat|mkdir|mkdirat|rename\w*)\((.*)\) += (-?\d+)", call)
        if found is None or int(found.group(3)) < 0:
            continue
        name, arguments = found.group(1), found.group(2)
        if name.startswith("open") and not re.search(r"O_(WRONLY|RDWR|CREAT)", arguments):
            continue
        base = re.match(r"(?:AT_FDCWD|\d+)<([^>]+)>", arguments)
        start = folder if base is None else Path(base.group(1))
        yield from (start / path for path in re.findall(r'"([^"]*)"', arguments))


@pytest.mark.parametrize("package", OURS)
def test_nobody_imports_the_runtime_before_its_telemetry_is_off(package: str) -> None:
    """An import at the top of a module may run before `hawkvision` is imported."""
    early = [
        str(path.relative_to(ROOT))
        for path in (ROOT / package).rglob("*.py")
        for node in ast.parse(path.read_text("utf-8")).body
        if (isinstance(node, ast.Import) and node.names[0].name.startswith("onnxruntime"))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("onnxruntime"))
    ]
    assert early == []
