"""`hawkvision classify`: a line for each image."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from hawkvision.cli.main import cli
from tests.client.agent import serving


def test_a_line_names_the_label_and_who_answered(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"escalate")
    with serving() as agent:
        done = CliRunner().invoke(
            cli, ["classify", str(tmp_path / "photo.jpg"), "--url", agent.url]
        )
    assert done.exit_code == 0
    assert "photo.jpg: green (0.750, by dc" in done.output


def test_the_file_holds_the_answers_as_the_contract_names_them(tmp_path: Path) -> None:
    photo, out = tmp_path / "photo.jpg", tmp_path / "new" / "out.json"
    photo.write_bytes(b"image")
    with serving() as agent:
        words = ["classify", str(photo), "--url", agent.url, "--json", str(out)]
        assert CliRunner().invoke(cli, words).exit_code == 0
    (result,) = json.loads(out.read_text())["results"]
    assert result["image"] == str(photo)
    assert result["top_k"][0] == {"label": "green", "class_id": 1, "probability": 0.75}
    assert result["accuracy"] == {"target": 0.8, "certified": True, "threshold": 0.5}


def test_a_target_that_is_no_share_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"image")
    with serving() as agent:
        words = ["classify", str(tmp_path / "photo.jpg"), "--url", agent.url, "--accuracy", "95"]
        assert CliRunner().invoke(cli, words).exit_code != 0
    assert agent.queries == []
