"""Real Locust users against a real agent and gateway; the bench command once.

The users end after a number of requests: how long that takes is the machine's business.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from hawkvision.client import Client
from hawkvision.contract.apps import AppInfo
from hawkvision.errors import HawkVisionError
from hawkvision.repository import shipped_repository
from loadtest.options import Settings
from loadtest.plan import Plan
from loadtest.traffic import TrafficSettings
from tests.certificates import Authority
from tests.client.agent import serving
from tests.processes import edge, free_port, gateway

ROOT = Path(__file__).resolve().parents[2]
KEY = "a-key-of-the-gate"
_DRAWN = Settings(TrafficSettings(images=3))


@pytest.mark.timeout(900)
def test_users_with_mixed_targets_are_all_answered(tmp_path: Path) -> None:
    result = tmp_path / "load.json"
    environment = {
        **os.environ,
        "HAWKVISION_LOADTEST_RESULTS": str(result),
        "HAWKVISION_LOADTEST_IMAGES": "40",
        "HAWKVISION_LOADTEST_REQUESTS": "120",
    }
    with (
        gateway(shipped_repository(), "--task", "roadsigns") as dc,
        edge(shipped_repository(), dc.address, "--task", "roadsigns") as agent,
    ):
        command = [sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py", "--headless"]
        options = ["-u", "4", "-r", "4", "--host", f"http://{agent.address}"]
        done = subprocess.run(
            [*command, *options],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "Delivered accuracy" in done.stdout
    body = json.loads(result.read_text())
    assert body["failures"] == 0
    assert len(body["results"]) >= 3
    # Of the four users, each may have been stopped between an answer and its count.
    assert 0 <= sum(row["n"] for row in body["results"]) - body["requests"] <= 4
    assert body["requests"] >= 120
    assert all(row["degraded_rate"] < 1 for row in body["results"])


def locust(*options: str, **variables: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py", "-u", "1", *options]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "HAWKVISION_LOADTEST_IMAGES": "10", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_what_cannot_be_is_one_line() -> None:
    cases = [
        (locust("--headless"), "error: no agent is named. Give --host"),
        (locust("--headless", "--host", "http://127.0.0.1:9"), "error: no agent answers at"),
    ]
    for process, said in cases:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 1, output
        assert output.count("error: ") == 1 and said in output, output
        assert "Traceback" not in output and "Delivered accuracy" not in output


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (_DRAWN, "the drawn road signs: no labels of task tiny: "),
        (replace(_DRAWN, task="none"), "the agent has no task 'none'"),
        (Settings(TrafficSettings(Path("no/such/folder"))), "no/such/folder"),
    ],
)
def test_what_does_not_fit_the_agent_is_refused(settings: Settings, said: str) -> None:
    with serving() as agent, pytest.raises(HawkVisionError, match=said) as refused:
        Plan.make(agent.url, settings)
    assert refused.value.hint


def test_the_page_shows_the_accuracy_of_the_run() -> None:
    port = free_port()
    with edge(shipped_repository(), "127.0.0.1:9", "--task", "roadsigns") as agent:
        url, at = f"http://127.0.0.1:{port}", f"http://{agent.address}"
        process = locust("--web-host", "127.0.0.1", "--web-port", str(port), "--host", at)
        try:
            page = _get(f"{url}/")
            assert '"extended_tabs": [{"key": "accuracy"' in page or "Accuracy asked" in page
            first = _run(url)
            assert sum(first.values()) > 20
            second = _run(url, least=1)
            assert sum(second.values()) < sum(first.values())
        finally:
            process.kill()
            process.communicate()


def test_arrivals_of_two_workers_add_up_and_objectives_decide(tmp_path: Path) -> None:
    port, result = free_port(), tmp_path / "load.json"
    workers = ["--worker", "--master-port", str(port)]
    shared = ["--load", "open", "--shape", "steady:60", "--requests", "90", "--in-flight", "50"]
    slos = "accuracy>=0.5,failures<=0%,goodput>1,p50<0ms"
    with edge(shipped_repository(), "127.0.0.1:9", "--task", "roadsigns") as agent:
        master = locust(
            *["--headless", "--master", "--master-bind-port", str(port), "--expect-workers", "2"],
            *["--host", f"http://{agent.address}", "--targets", "0.80:1,0.90:3", "--slo", slos],
            *shared,
            HAWKVISION_LOADTEST_RESULTS=str(result),
        )
        others = [locust(*workers), locust(*workers)]
        output, _ = master.communicate(timeout=300)
        for worker in others:
            worker.communicate(timeout=60)
    body = json.loads(result.read_text())
    assert master.returncode == 1, output
    assert [one["held"] for one in body["slos"]] == [True, True, True, False]
    assert output.count("BROKEN") == 1 and "p50<0ms" in output
    assert body["failures"] == 0 and body["requests"] >= 90
    low, high = body["results"]
    assert (low["target"], high["target"]) == (0.8, 0.9) and high["n"] > low["n"]
    # A worker reports what it sent before what it counted, or after.
    assert abs(low["n"] + high["n"] - body["requests"]) <= 60


def test_arrivals_that_find_too_many_open_are_failures_and_keys_and_tls_are_taken(
    tmp_path: Path,
) -> None:
    made = Authority.make(tmp_path)
    result, keys = tmp_path / "load.json", tmp_path / "keys.json"
    keys.write_text(json.dumps({"gate": KEY}))
    tls = ["--tls-cert", str(made.certificate), "--tls-key", str(made.key)]
    options = ["--task", "roadsigns", "--app-keys", str(keys), *tls]
    with edge(shipped_repository(), "127.0.0.1:9", *options) as agent:
        with Client(f"https://{agent.address}", ca=made.ca, key=KEY) as client:
            client.put_app(AppInfo("gate", "roadsigns", "0.8"), key=KEY)
        process = locust(
            *["--headless", "--host", f"https://{agent.address}", "--ca", str(made.ca)],
            *["--load", "open", "--shape", "steady:3000", "--in-flight", "1", "--requests", "200"],
            *["--app", "gate"],
            HAWKVISION_LOADTEST_RESULTS=str(result),
            HAWKVISION_LOADTEST_API_KEY=KEY,
        )
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 1 and "not sent: too many are open" in output, output
    body = json.loads(result.read_text())
    assert " status 4" not in output and body["results"], output
    assert 0 < body["failures"] < body["requests"]


def test_cameras_on_lossy_streams_are_counted_too(tmp_path: Path) -> None:
    result = tmp_path / "load.json"
    with edge(shipped_repository(), "127.0.0.1:9", "--task", "roadsigns") as agent:
        process = locust(
            *["--headless", "--host", f"http://{agent.address}", "--load", "stream"],
            *["--requests", "12", "--deadlines", "2000", "--fps", "50", "--targets", "0.8"],
            HAWKVISION_LOADTEST_RESULTS=str(result),
        )
        output, _ = process.communicate(timeout=300)
    body = json.loads(result.read_text())
    assert process.returncode == 0, output
    (row,) = body["results"]
    assert row["target"] == 0.8 and row["n"] >= 10 and row["achieved"] > 0.4


def _run(url: str, least: int = 21) -> dict[str, int]:
    """One run, from the page; its answers by target."""
    urllib.request.urlopen(f"{url}/swarm", b"user_count=1&spawn_rate=1", timeout=60).read()
    found: dict[str, int] = {}
    while sum(found.values()) < least:
        stats = json.loads(_get(f"{url}/stats/requests"))["extended_stats"]
        found = {row["target"]: int(row["n"]) for row in stats[0]["data"]}
        time.sleep(0.05)
    urllib.request.urlopen(f"{url}/stop", b"", timeout=60).read()
    return found


def _get(url: str) -> str:
    end = time.monotonic() + 60
    while True:
        try:
            return str(urllib.request.urlopen(url, timeout=60).read(), "utf-8")
        except urllib.error.URLError:
            assert time.monotonic() < end
            time.sleep(0.1)


@pytest.mark.timeout(900)
def test_bench_server_reports_the_contract_s_keys(tmp_path: Path) -> None:
    result = tmp_path / "server.json"
    command = [sys.executable, "-m", "hawkvision.cli", "bench", "server"]
    options = ["--task", "roadsigns", "--rounds", "1", "--seconds", "0.5", "--connections", "2"]
    options += ["--json", str(result)]
    subprocess.run(
        [*command, *options], check=True, timeout=600, cwd=ROOT, stdout=subprocess.DEVNULL
    )
    body = json.loads(result.read_text())
    assert {"cpu_ms_bare", "cpu_ms_agent", "cpu_ratio", "rss_mb"} <= set(body)
    assert body["cpu_ms_agent"] > body["cpu_ms_bare"] > 0
