"""A real agent's log: one line when the gateway goes, one when it is back, whatever is asked."""

from __future__ import annotations

import json
import time
from pathlib import Path

from hawkvision.client import Client
from tests.models import build_tiny_repository, coloured_jpeg
from tests.processes import edge, free_port, gateway

_PATIENCE_S = 120.0


def test_each_change_of_state_is_one_line(tmp_path: Path) -> None:
    repository, port = build_tiny_repository(tmp_path), free_port()
    at = f"127.0.0.1:{port}"
    options = ("--log-format", "json", "--no-control", "--audit-share", "0")
    with edge(repository, at, *options) as agent, Client(f"http://{agent.address}") as client:
        highest = client.tasks()[0].highest_certifiable

        def until(served: str, degraded: str | None) -> None:
            end = time.monotonic() + _PATIENCE_S
            while time.monotonic() < end:
                for seed in range(20):
                    found = client.classify(coloured_jpeg("red", seed), accuracy=highest)
                    if (found.served_by, found.degraded) == (served, degraded):
                        return
            raise AssertionError(f"never served by {served}, degraded {degraded}")

        with gateway(repository, port=port):
            until("dc", None)
        for _ in range(5):
            until("edge", "dc_unreachable")
        with gateway(repository, port=port):
            until("dc", None)
        assert agent.terminate() == 0
        output = agent.output
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    told = [(line["level"], line["message"]) for line in lines]
    gone = [text for level, text in told if level == "warning" and "edge answers alone" in text]
    back = [text for level, text in told if level == "warning" and "answers again" in text]
    # The second gateway stops before the agent, who may see it.
    assert len(back) >= 1 and len(gone) - len(back) in (0, 1), told
    assert len(told) == len(gone) + len(back) + 4, told
    assert told[0][1].startswith("task tiny, rung edge: engine onnx asked, cpu given")
    assert told[1][1].startswith("ready, at http://")
    last = [text.split(":")[0] for _, text in told if text.startswith("drain")]
    assert last == ["drain begins", "drain ends"]
