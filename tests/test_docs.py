"""What the check of the documents finds, on made-up pages; the real ones are checked by `make`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "check_docs.py"
TABLE = "| a | b |\n|---|--:|\n"


def check(
    tmp_path: Path, text: str, name: str = "docs/page.md"
) -> subprocess.CompletedProcess[str]:
    """Run the check over a project with one page."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "check_docs.py").write_text(SCRIPT.read_text())
    page = tmp_path / name
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text)
    return subprocess.run(
        [sys.executable, str(tmp_path / "scripts" / "check_docs.py")],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "text",
    [
        f"{TABLE}| 1 | 2 |\n",
        f"```\n{TABLE}```\n",
        "a rule\n\n---\n\nbelow",
        "a | b\n--- | ---\n1 | 2\n",
        "[up](../scripts/check_docs.py), [out](https://example.org/x), [here](#a)",
    ],
)
def test_good_pages_pass(tmp_path: Path, text: str) -> None:
    done = check(tmp_path, text)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"text\n\n{TABLE}\nAt 5 % loss", "table without rows in docs/page.md, line 4"),
        (TABLE, "table without rows in docs/page.md, line 2"),
        (f"```sh\nls\n```\n\n{TABLE}\n", "table without rows in docs/page.md, line 6"),
        ("a | b\n--- | ---\n", "table without rows in docs/page.md, line 2"),
        ("[gone](gone.md#part)", "broken link in docs/page.md: gone.md"),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, said: str) -> None:
    done = check(tmp_path, text)
    assert done.returncode == 1 and said in done.stdout


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "models/zoo/README.md"])
def test_every_document_is_looked_at(tmp_path: Path, name: str) -> None:
    assert check(tmp_path, TABLE, name).returncode == 1
