"""What scanners find is argued, each argument is needed; the scanners themselves run by `make`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "audit.py"
_spec = importlib.util.spec_from_file_location("audit_script", SCRIPT)
assert _spec is not None and _spec.loader is not None
audit = importlib.util.module_from_spec(_spec)
sys.modules["audit_script"] = audit
_spec.loader.exec_module(audit)

ARGUED = '[[bandit]]\nrule = "B1"\npath = "a/*"\nreason = "so"\n'


def finding(rule: str = "B1", path: str = "a/b.py", tool: str = "bandit") -> object:
    return audit.Finding(tool, rule, path, 1)


@pytest.mark.parametrize(
    "other", [finding(rule="B2"), finding(path="b/a.py"), finding(tool="secret")]
)
def test_what_is_not_argued_is_left(other: object) -> None:
    arguments = audit.parse_arguments(ARGUED)
    assert audit.compare([finding(), other], arguments) == ([other], [])


def test_an_argument_without_a_finding_is_left() -> None:
    arguments = audit.parse_arguments(ARGUED)
    assert audit.compare([], arguments) == ([], arguments)


@pytest.mark.parametrize(
    "text",
    [
        ARGUED.replace('"so"', '" "'),
        ARGUED.replace('rule = "B1"\n', ""),
        ARGUED + 'until = "later"\n',
        ARGUED.replace("bandit", "mypy"),
    ],
)
def test_an_argument_has_all_its_parts(text: str) -> None:
    with pytest.raises(ValueError, match=r"takes|unknown table"):
        audit.parse_arguments(text)


def test_arguments_in_force_are_whole_and_about_files_that_exist() -> None:
    arguments = audit.parse_arguments(audit.ARGUED.read_text("utf-8"))
    assert len(arguments) > 10
    assert all(any(audit.ROOT.glob(one.path.removesuffix("*") + "*")) for one in arguments)


def test_findings_are_read_from_both_scanners() -> None:
    one = {"test_id": "B1", "filename": "./a/b.py", "line_number": 1, "issue_text": "x"}
    assert audit.bandit_findings({"errors": [], "results": [one]}) == [
        audit.Finding("bandit", "B1", "a/b.py", 1, "x")
    ]
    with pytest.raises(ValueError, match="bandit"):
        audit.bandit_findings({"errors": ["a.py"], "results": []})
    secret = {"results": {"a.py": [{"type": "Secret Keyword", "line_number": 3}]}}
    assert audit.secret_findings(secret) == [audit.Finding("secret", "Secret Keyword", "a.py", 3)]
