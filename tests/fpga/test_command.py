"""`hawkvision fpga` at its door: what is missing is said in one line, with what to install."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fpga import command
from fpga.network.files import network_beside
from fpga.network.plan import save_plan
from fpga.tools.progress import telling
from hawkvision.cli.main import cli
from hawkvision.repository import Repository
from tests.fpga.marks import needs_verilator
from tests.fpga.networks import SMALL_PLAN, plan_for, random_network
from tests.models import LABELS, SIDE, build_tiny_repository, classifier

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("compile", "simulate", "size", "report", "package")
_BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {module!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""


def hawkvision(
    folder: Path, *arguments: str, without: str = "", programs: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run the command line where a module cannot be imported, or no program be found."""
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(_BLOCKER.format(module=without))
    environment = {name: value for name, value in os.environ.items() if name != "HAWKVISION_DATA"}
    environment["PYTHONPATH"] = f"{site}{os.pathsep}{ROOT}"
    environment["XDG_CACHE_HOME"] = str(folder / "cache")
    if not programs:
        environment["PATH"] = str(site)
    return subprocess.run(
        [sys.executable, "-m", "hawkvision.cli", *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a plan, and a file for the compiler, which is never read."""
    network = random_network(8, (2,), 1, seed=1)
    plan = plan_for(network, 640)
    save_plan(plan, tmp_path / "plan.npz")
    (tmp_path / "small.qonnx").write_bytes(b"")
    return tmp_path


ARGUMENTS = {
    "compile": ("compile", "small.qonnx", "--out", "build"),
    "simulate": ("simulate", "plan.npz"),
    "size": ("size", "plan.npz"),
    "report": ("report", "--plan", "plan.npz", "--figure", "r.svg"),
}


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        *((name, "amaranth", "fpga") for name in ARGUMENTS),
        ("compile", "onnx", "fpga"),
        ("report", "matplotlib", "report"),
    ],
)
def test_a_module_that_is_missing_is_named_with_its_extra(
    folder: Path, name: str, module: str, extra: str
) -> None:
    done = hawkvision(folder, "fpga", *ARGUMENTS[name], without=module)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.splitlines() == [
        f"error: `hawkvision fpga {name}` needs the module {module}, which is not installed",
        f"pip install 'hawkvision[{extra}]'",
    ]


@pytest.mark.parametrize(
    ("name", "program"),
    [
        ("compile", "verilator"),
        ("simulate", "verilator"),
        ("size", "yosys"),
        ("report", "verilator"),
    ],
)
def test_a_program_that_is_missing_is_named(folder: Path, name: str, program: str) -> None:
    pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")
    done = hawkvision(folder, "fpga", *ARGUMENTS[name], programs=False)
    assert done.returncode == 1 and done.stdout == ""
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: no ") and f"not installed: {program}" in error
    assert hint.startswith("apt-get install") and program in hint


def test_help_needs_nothing_that_can_be_missing(folder: Path) -> None:
    done = hawkvision(folder, "fpga", "--help", without="amaranth", programs=False)
    assert done.returncode == 0 and done.stderr == ""
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)
    assert set(command.command.commands) == set(COMMANDS)


def test_a_bitstream_is_packed_without_the_tools_that_made_it(folder: Path) -> None:
    files = [f"--bit={folder / 'small.qonnx'}", f"--hwh={folder / 'small.qonnx'}"]
    repository = build_tiny_repository(folder / "repository")
    task = Repository(repository).open("tiny").folder
    (folder / "plan.npz").rename(task / "edge.fpga.npz")
    arguments = ["fpga", "package", f"--task={task}", *files, "--out=board.tar.gz"]
    done = hawkvision(folder, *arguments, without="amaranth", programs=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "board.tar.gz").stat().st_size > 1000


@pytest.mark.parametrize(
    ("engine", "module", "said"),
    [
        ("fpga-sim", "amaranth", "the engine 'fpga-sim' needs the module amaranth"),
        ("fpga-sim", "", "no simulation: not installed: verilator"),
        ("pynq", "amaranth", "holds no edge.bit"),
    ],
)
def test_an_agent_says_what_its_engine_is_missing(
    folder: Path, engine: str, module: str, said: str
) -> None:
    if not module:
        pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")
    repository = build_tiny_repository(folder / "repository")
    network = random_network(SIDE, (2,), 1, seed=1, classes=len(LABELS))
    plan = plan_for(network, 20_000)
    save_plan(plan, network_beside(Repository(repository).open("tiny").rungs[0].model.path))
    where = ["--model-repository", str(repository), "--port", "0", "--engine", engine]
    done = hawkvision(folder, "edge", *where, without=module, programs=False)
    assert done.returncode == 1
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: ") and said in error and hint


@needs_verilator
@pytest.mark.usefixtures("cache_home")
def test_a_simulation_says_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")
    path, report = tmp_path / "n.npz", tmp_path / "report.json"
    save_plan(SMALL_PLAN, path)
    arguments = ["fpga", "simulate", str(path), "--images", "4", "--json", str(report)]
    assert not cli(arguments, standalone_mode=False)
    found = json.loads(report.read_text())
    assert found["bit_exact_images"] == found["bit_exact_images_stalled"] == 4
    printed = capsys.readouterr()
    assert f"{found['latency_cycles']:,}" in printed.out
    assert "building the simulation with Verilator and g++" in printed.err


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("float", "is a network in floats, not QONNX"),
        ("qdq", "is a network in QDQ, as ONNX Runtime quantizes, not QONNX"),
        ("text", "is not an ONNX file"),
    ],
)
def test_a_file_that_is_no_qonnx_says_what_is_wanted(tmp_path: Path, kind: str, said: str) -> None:
    pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra fpga)")
    path = tmp_path / "network.onnx"
    onnx.save(classifier(9), path)
    if kind == "qdq":
        model = onnx.load(path)
        model.graph.node.add(op_type="QuantizeLinear")
        onnx.save(model, path)
    elif kind == "text":
        path.write_text("no network")
    words = ("fpga", "compile", "network.onnx", "--out", "build", "--step", "import")
    done = hawkvision(tmp_path, *words)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"error: network.onnx {said}" in done.stderr
    assert "QONNX" in done.stderr and "brevitas.export.export_qonnx" in done.stderr


def test_long_work_says_what_it_is_at_and_that_it_goes_on() -> None:
    lines: list[str] = []
    reminded = threading.Event()

    def say(line: str) -> None:
        lines.append(line)
        if "so far" in line:
            reminded.set()

    with telling("a step", say, again_s=0.01) as doing:
        assert reminded.wait(60)
        doing("the next part")
    before = list(lines)
    assert lines[0] == "  a step ..." and "  the next part ..." in lines
    assert any(line.startswith("  a step: ") for line in lines)
    assert lines == before


def test_the_steps_that_can_be_chosen_are_those_of_the_compiler() -> None:
    pytest.importorskip("amaranth", reason="amaranth is not installed (extra fpga)")
    from fpga.steps import STEPS

    assert tuple(STEPS) == command._STEPS
