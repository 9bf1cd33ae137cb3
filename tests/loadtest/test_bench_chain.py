"""What the benchmark of chains makes of answers, and that it says when it measures nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hawkvision.contract.answer import Answer, Promise
from hawkvision.repository import Repository
from loadtest.bench.chain import Run, Sent, row
from loadtest.bench.chain_command import chain
from tests.models import SIDE, build_chain


def sent(rung: str, latency_ms: float, *, wrong: bool = False, degraded: str | None = None) -> Sent:
    answer = Answer(
        request_id="r",
        task="tiny",
        prediction={"label": "red", "class_id": int(wrong), "confidence": 0.9},
        served_by="dc" if rung == "dc" else "edge",
        escalated=rung == "dc",
        degraded=degraded,
        accuracy=Promise(0.9, degraded is None, 0.5),
        timing_ms={},
        rung=rung,
    )
    return Sent(answer, float(wrong), latency_ms)


def test_a_row_says_who_answered_what_and_at_what_cost(tmp_path: Path) -> None:
    patches = {"edge": 5, "medium": 12, "dc": SIDE}
    task = Repository(build_chain(tmp_path, patches, (0.9,))).open("tiny")
    first = Run([sent("edge", 1.0), sent("dc", 21.0), sent("dc", 23.0), sent("edge", 1.0)])
    run = Run(
        [
            sent("edge", 1.0),
            sent("medium", 3.0),
            sent("dc", 25.0),
            sent("edge", 1.0, wrong=True, degraded="deadline"),
        ],
        edge_s=0.008,
        dc_s=0.004,
    )
    found = row(task, 2, run, first)
    assert (found["rungs"], found["n"], found["accuracy"], found["same"]) == (2, 4, 0.75, 0.75)
    assert found["by_rung"] == {"edge": 0.5, "medium": 0.25, "dc": 0.25}
    assert (found["escalated"], found["degraded"], found["certified"]) == (0.25, 0.25, 0.75)
    assert (found["edge_cpu_ms"], found["dc_cpu_ms"]) == (2.0, 1.0)
    assert found["ci_low"] < 0.75 < found["ci_high"] and found["p50_ms"] == 2.0


def test_without_photos_it_says_that_nothing_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HAWKVISION_DATA", raising=False)
    done = CliRunner().invoke(chain, ["--json", str(tmp_path / "out.json")])
    assert done.exit_code == 0 and "NOT MEASURED: no photos" in done.stderr
    assert "skipped" in json.loads((tmp_path / "out.json").read_text())
