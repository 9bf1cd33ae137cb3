"""Scan: bandit over the code, detect-secrets over all files, pip-audit over packages.

`python scripts/audit.py` needs no network; with `--packages PATH`, a folder of installed packages,
known vulnerabilities are asked for at PyPI. Findings are compared with scripts/audit.toml: exit 1
for one that is not argued there, and for an argument without a finding.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ARGUED = ROOT / "scripts" / "audit.toml"
CODE = ("hawkvision", "edge_agent", "dc_gateway", "fpga", "loadtest")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a scanner says: `tool` is bandit or secret, `rule` its rule or kind of secret."""

    tool: str
    rule: str
    path: str
    line: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Argument:
    """Why findings of a rule in files of a pattern are none. A reason is never empty."""

    tool: str
    rule: str
    path: str
    reason: str

    def covers(self, one: Finding) -> bool:
        """Whether this is about the finding."""
        return (
            self.tool == one.tool
            and fnmatchcase(one.rule, self.rule)
            and fnmatchcase(one.path, self.path)
        )


def parse_arguments(text: str) -> list[Argument]:
    """From TOML. Raises ValueError for one without its parts."""
    found = tomllib.loads(text)
    arguments = []
    for tool, field in (("bandit", "rule"), ("secret", "kind")):
        for one in found.pop(tool, []):
            parts = [str(one.get(name, "")).strip() for name in (field, "path", "reason")]
            if not all(parts) or len(one) != len(parts):
                raise ValueError(f"[[{tool}]] takes {field}, path and reason: {one}")
            arguments.append(Argument(tool, *parts))
    if found:
        raise ValueError(f"an unknown table {min(found)}")
    return arguments


def compare(
    findings: Iterable[Finding], arguments: Sequence[Argument]
) -> tuple[list[Finding], list[Argument]]:
    """Findings that nothing argues, and arguments that no finding needs."""
    needed: set[Argument] = set()
    bare = []
    for one in findings:
        mine = [argument for argument in arguments if argument.covers(one)]
        needed.update(mine)
        if not mine:
            bare.append(one)
    return bare, [one for one in arguments if one not in needed]


def bandit_findings(found: Mapping[str, Any]) -> list[Finding]:
    """Of bandit's JSON. Raises ValueError for a file that it could not read."""
    if found["errors"]:
        raise ValueError(f"bandit: {found['errors']}")
    return [
        Finding(
            "bandit",
            one["test_id"],
            one["filename"].removeprefix("./"),
            one["line_number"],
            one["issue_text"],
        )
        for one in found["results"]
    ]


def secret_findings(found: Mapping[str, Any]) -> list[Finding]:
    """Of detect-secrets' JSON."""
    return [
        Finding("secret", one["type"], path, one["line_number"])
        for path, some in found["results"].items()
        for one in some
    ]


def _json_of(*words: str) -> Any:
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True)
    if not done.stdout.strip():
        raise SystemExit(f"audit: {words[0]} said nothing: {done.stderr[-500:]}")
    return json.loads(done.stdout)


def _vulnerable(packages: str) -> list[str]:
    """A line for each known vulnerability, and one where packages could not be asked about."""
    found = _json_of("pip_audit", "--path", packages, "--format", "json", "--progress-spinner=off")
    lines = [
        f"{one['name']} {one['version']}: {fault['id']}, mended in "
        f"{', '.join(fault['fix_versions']) or 'no version'}"
        for one in found["dependencies"]
        for fault in one.get("vulns", [])
    ]
    unknown = [one["name"] for one in found["dependencies"] if "skip_reason" in one]
    asked = len(found["dependencies"])
    print(f"audit: {asked - len(unknown)} of {asked} packages asked about")
    return [*lines, *([f"not known there: {', '.join(sorted(unknown))}"] if unknown else [])]


def main(words: Sequence[str]) -> int:
    """Scan, print what is left, and say whether that is nothing."""
    findings = bandit_findings(_json_of("bandit", "-q", "-r", *CODE, "-f", "json"))
    findings += secret_findings(_json_of("detect_secrets", "scan"))
    bare, idle = compare(findings, parse_arguments(ARGUED.read_text("utf-8")))
    for one in bare:
        print(f"{one.path}:{one.line}: {one.rule} {one.text}")
    for argument in idle:
        print(f"scripts/audit.toml: nothing found for {argument.rule} in {argument.path}")
    vulnerable = _vulnerable(words[1]) if words[:1] == ["--packages"] else []
    print("\n".join([*vulnerable, f"audit: {len(findings)} findings, {len(bare)} not argued"]))
    return 1 if bare or idle or vulnerable else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
