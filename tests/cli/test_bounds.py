"""What one door shows as certified, another does not refuse; what is asked is shown as asked."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from hawkvision.cli.calibrate import show
from hawkvision.cli.main import cli
from hawkvision.client import Client
from hawkvision.errors import TargetUnreachable
from hawkvision.repository import Repository, shipped_repository
from hawkvision.summary import summarise_task
from hawkvision.taskbuild.report.calibration import render
from tests.models import coloured_jpeg
from tests.processes import Service, edge

IMAGE = coloured_jpeg("red")
TASKS = Repository(shipped_repository()).tasks()


@pytest.fixture(scope="module")
def agent() -> Iterator[Service]:
    with edge(shipped_repository(), "127.0.0.1:1") as service:
        yield service


def highest_listed(task: str, out: Path) -> tuple[str, float]:
    """What `models list` shows as certifiable, and what that is before it is shown."""
    done = CliRunner().invoke(cli, ["models", "list", "--json", str(out)])
    line = next(line for line in done.output.splitlines() if line.startswith(f"│ {task} "))
    exact = next(one for one in json.loads(out.read_text())["tasks"] if one["name"] == task)
    return line.split("│")[5].strip(), exact["highest_certifiable"]


@pytest.mark.parametrize("task", TASKS)
def test_what_is_listed_is_served_and_the_next_is_refused(
    task: str, agent: Service, tmp_path: Path
) -> None:
    listed, exact = highest_listed(task, tmp_path / "out.json")
    with Client(f"http://{agent.address}") as client:
        assert client.task(task).highest_certifiable == float(listed) <= exact
        answer = client.classify(IMAGE, task=task, accuracy=float(listed))
        assert answer.accuracy.target == float(listed)
        with pytest.raises(TargetUnreachable, match=listed) as caught:
            client.classify(IMAGE, task=task, accuracy=round(float(listed) + 0.001, 3))
    assert caught.value.highest == float(listed)


@pytest.mark.parametrize("task", TASKS)
def test_calibrate_says_what_the_agent_serves(
    task: str, agent: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = Repository(shipped_repository()).open(task)
    show(opened, summarise_task(opened, opened.scores()))
    said = capsys.readouterr().out.split("highest certified: ")[1].split()[0]
    with Client(f"http://{agent.address}") as client:
        assert float(said) == client.task(task).highest_certifiable


@pytest.mark.parametrize("task", TASKS)
def test_the_report_says_what_the_agent_serves(task: str, agent: Service) -> None:
    opened = Repository(shipped_repository()).open(task)
    scores = opened.scores()
    page = render(opened, scores, summarise_task(opened, scores))
    with Client(f"http://{agent.address}") as client:
        highest = client.task(task).highest_certifiable
    assert f'<span class="big">{highest:.3f}</span>' in page
    certified = page[page.index('id="targets"') : page.index('id="alone"')]
    refused = re.search(r'class="refused".*?<th[^>]*>([0-9.]+)<', certified, re.DOTALL)
    assert refused is not None and float(refused[1]) > highest


def test_a_target_is_echoed_refused_and_counted_as_asked(agent: Service) -> None:
    with Client(f"http://{agent.address}") as client:
        assert client.classify(IMAGE, task="roadsigns", accuracy=0.918).accuracy.target == 0.918
        with pytest.raises(TargetUnreachable, match=r"accuracy 0\.99912345 cannot"):
            client.classify(IMAGE, task="roadsigns", accuracy=0.99912345)
    with urllib.request.urlopen(f"http://{agent.address}/metrics", timeout=30) as reply:
        text = reply.read().decode()
    counted = [line for line in text.splitlines() if line.startswith("hawkvision_answers_total{")]
    assert any('task="roadsigns"' in line and 'target="0.918"' in line for line in counted)
    assert not any('target="0.92"' in line for line in counted)
