"""`hawkvision bench engines`: whatever runs here in one table, and why the rest does not."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner

from hawkvision.errors import EngineError
from loadtest.bench import trtexec
from loadtest.bench.command import command
from tests.engines.test_onnx import mean_model
from tests.models import build_tiny_repository, classifier

PRINTED = """\
&&&& RUNNING TensorRT.trtexec [TensorRT v101600] # trtexec --onnx=m.onnx
[11/26/2026-12:00:00] [I] Throughput: 500.5 qps
[11/26/2026-12:00:00] [I] Latency: min = 1.7 ms, max = 9 ms, mean = 2.1 ms, median = 2.0 ms, \
percentile(99%) = 3.25 ms
[11/26/2026-12:00:00] [I] Enqueue Time: min = 0.01 ms, median = 0.02 ms, percentile(99%) = 0.1 ms
&&&& PASSED TensorRT.trtexec
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_repository(tmp_path_factory.mktemp("tiny"))


def bench(repository: Path, *options: str) -> tuple[str, dict]:  # type: ignore[type-arg]
    file = repository / "bench.json"
    arguments = ["--task", "tiny", "--model-repository", str(repository), "--json", str(file)]
    quick = ["--rounds", "2", "--seconds", "0.01"]
    found = CliRunner().invoke(
        command, ["engines", *arguments, *quick, *options], catch_exceptions=False
    )
    assert found.exit_code == 0, found.output
    return found.output, json.loads(file.read_text())


def test_each_rung_and_batch_of_what_runs_here_is_a_row(repository: Path) -> None:
    output, result = bench(repository, "--engine", "onnx", "--batch", "1", "--batch", "3")
    rows = [(row["engine"], row["rung"], row["batch"]) for row in result["rows"]]
    assert rows == [("onnx", rung, batch) for rung in ("edge", "dc") for batch in (1, 3)]
    for row in result["rows"]:
        assert 0 < row["p50_ms"] <= row["p99_ms"] and row["images_per_s"] > 0
        assert row["joules_per_image"] is None and row["joules"].startswith("not measured: ")
    assert max(map(len, output.splitlines())) <= 80
    assert result["absent"] == []


def test_who_does_not_run_here_is_named_with_the_reason(repository: Path) -> None:
    output, result = bench(repository, "--engine", "onnx", "--engine", "pynq", "--batch", "1")
    assert {row["engine"] for row in result["rows"]} == {"onnx"}
    assert {one["rung"] for one in result["absent"]} == {"edge", "dc"}
    assert "pynq (edge) not measured:" in output and "holds no edge.bit" in " ".join(output.split())


def test_an_engine_that_is_not_installed_is_refused(repository: Path) -> None:
    options = ["engines", "--task", "tiny", "--model-repository", str(repository)]
    found = CliRunner().invoke(command, [*options, "--engine", "abacus"])
    assert "no engine named 'abacus'" in str(found.exception)


def fake_trtexec(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "trtexec"
    program.write_text(f'#!/bin/sh\necho "$@" >> {folder}/called\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_trtexec_is_told_the_batch_and_its_figures_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").write_text(PRINTED)
    fake_trtexec(tmp_path, monkeypatch, f"cat {tmp_path}/out")
    onnx.save(classifier(9), tmp_path / "m.onnx")
    found = trtexec.measure(tmp_path / "m.onnx", 8, 1.0)
    assert (found["p50_ms"], found["p99_ms"]) == (2.0, 3.25)
    assert found["images_per_s"] == pytest.approx(8 * 500.5)
    called = (tmp_path / "called").read_text()
    assert "--shapes=image:8x32x32x3" in called and "--stronglyTyped" in called
    fixed = trtexec.measure(mean_model(tmp_path / "f.onnx", batch=4), 8, 1.0)
    assert fixed["images_per_s"] == pytest.approx(4 * 500.5)
    assert "--shapes" not in (tmp_path / "called").read_text().splitlines()[-1]


def test_trtexec_of_11_has_no_option_for_what_is_its_only_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").write_text(PRINTED)
    refuses = 'case "$*" in *stronglyTyped*) echo "[E] Unknown option"; exit 1;; esac'
    fake_trtexec(tmp_path, monkeypatch, f"{refuses}\ncat {tmp_path}/out")
    onnx.save(classifier(9), tmp_path / "m.onnx")
    assert trtexec.measure(tmp_path / "m.onnx", 1, 1.0)["p50_ms"] == 2.0


def test_why_trtexec_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_trtexec(tmp_path, monkeypatch, 'echo "[12:00] [E] Error[4]: no node"; exit 1')
    onnx.save(classifier(9), tmp_path / "m.onnx")
    with pytest.raises(EngineError, match=r"trtexec: Error\[4\]: no node"):
        trtexec.measure(tmp_path / "m.onnx", 1, 1.0)
    with pytest.raises(EngineError, match="no latency"):
        trtexec.parse("nothing", 1)


def test_trtexec_is_part_of_the_table_where_it_is(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").write_text(PRINTED)
    fake_trtexec(tmp_path, monkeypatch, f"cat {tmp_path}/out")
    output, result = bench(repository, "--engine", "onnx", "--rung", "edge", "--batch", "8")
    rows = {row["engine"]: row for row in result["rows"]}
    assert rows["trtexec"]["images_per_s"] == pytest.approx(8 * 500.5)
    assert rows["trtexec"]["agrees"] is None and "trtexec" in output
