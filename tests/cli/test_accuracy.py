"""`hawkvision accuracy` and the client's feedback, against a real agent."""

from __future__ import annotations

import json
import time
from pathlib import Path

from click.testing import CliRunner

from hawkvision.cli.main import cli
from hawkvision.client import Client
from tests.models import LABELS, build_tiny_repository, coloured_jpeg
from tests.processes import edge, free_port


def test_what_was_delivered_is_shown_with_its_source(tmp_path: Path) -> None:
    repository = build_tiny_repository(tmp_path / "repository")
    out = tmp_path / "out.json"
    with edge(repository, f"127.0.0.1:{free_port()}") as service:
        url = f"http://{service.address}"
        with Client(url) as client:
            for index in range(20):
                answer = client.classify(coloured_jpeg(LABELS[index % 4], index), accuracy=0.6)
                assert client.feedback(answer.request_id, LABELS[index % 4], key="any")
                assert not client.feedback(answer.request_id, index % 4)
            end = time.monotonic() + 10
            while time.monotonic() < end:
                estimates = client.delivered(task="tiny").windows["5m"].overall.estimates
                if "feedback" in estimates and estimates["feedback"].n == 20:
                    break
                time.sleep(0.1)
        done = CliRunner().invoke(cli, ["accuracy", "--url", url, "--json", str(out)])
    assert done.exit_code == 0, done.output
    assert "feedback" in done.output and "0.6" in done.output
    row = json.loads(out.read_text())["windows"]["5m"]["targets"]["0.6"]
    assert row["requests"] == 20 and row["estimates"]["feedback"]["n"] == 20
