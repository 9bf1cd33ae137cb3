"""A test that fails is named at once, with its reason: a run may be broken off before its end."""

from __future__ import annotations

import re

import pytest


class FailuresAtOnce:
    """Writes a line for each failure as it is reported; only where all reports arrive."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            reason = report.longreprtext.strip().splitlines()
            errors = [line for line in reason if line.startswith("E ")] or [
                line for line in reason if re.match(r"[ |]*[A-Za-z.]+(Error|Warning|Group): ", line)
            ]
            self._terminal.ensure_newline()
            self._terminal.write_line(f"FAILED {report.nodeid} ({report.when})", red=True)
            for line in errors[:6]:
                self._terminal.write_line(line[:200])
