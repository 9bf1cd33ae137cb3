"""A load test as it runs in one process: its settings, its plan, its counts, how it ends."""

from __future__ import annotations

import json
import sys
from typing import Any

from hawkvision.calibration import shown
from hawkvision.contract.answer import Answer
from hawkvision.errors import HawkVisionError
from loadtest.accuracy import DeliveredAccuracy
from loadtest.options import Settings
from loadtest.plan import Plan, Question
from loadtest.slo import Measured, Verdict, judge

_KINDS = (("classify", "POST"), ("stream", "RTP"))
_SHOWN = (0.5, 0.95, 0.99)


class Run:
    """`settings` and `plan` are None until they are made, and where they cannot be."""

    def __init__(self) -> None:
        self.settings: Settings | None = None
        self.plan: Plan | None = None
        self.delivered = DeliveredAccuracy()

    def configure(self, options: Any) -> bool:
        """Read the options; whether they are sound, otherwise the reason is said in one line."""
        try:
            self.settings = Settings.of(options)
        except HawkVisionError as error:
            _say(error)
            return False
        return True

    def make_plan(self, host: str | None) -> bool:
        """Ask the agent and get the images ready; whether that was possible."""
        self.plan = None
        if self.settings is None:
            return False
        try:
            self.plan = Plan.make(host, self.settings)
        except (HawkVisionError, OSError, ValueError) as error:
            _say(error)
            return False
        return True

    def count(self, question: Question, answer: Answer, took_ms: float) -> None:
        """Count an answer that came after `took_ms`."""
        self.delivered.add(
            question.target,
            correct=question.right(answer),
            escalated=answer.escalated,
            degraded=answer.degraded is not None,
            in_time=question.deadline_ms is None or took_ms <= question.deadline_ms,
        )

    def rows(self, stats: Any) -> list[dict[str, Any]]:
        """One row for each target: the accuracy delivered, times, right answers in time."""
        seconds = seconds_of(stats)
        rows = []
        for row in self.delivered.rows():
            in_time = self.delivered.of(row["target"]).in_time
            times = {
                f"p{share * 100:g}_ms": percentile(stats, share, row["target"]) for share in _SHOWN
            }
            rows.append({**row, **times, "goodput": in_time / seconds if seconds else 0.0})
        return rows

    def verdicts(self, stats: Any) -> list[Verdict]:
        """How each objective ended."""
        run = Measured(
            self.delivered,
            stats.total.num_requests,
            stats.total.num_failures,
            seconds_of(stats),
            lambda share, target: percentile(stats, share, target),
        )
        return [judge(slo, run) for slo in (self.settings.slos if self.settings else ())]

    def as_json(self, stats: Any) -> str:
        """The results, for a file."""
        total = stats.total
        body = {
            "results": self.rows(stats),
            "requests": total.num_requests,
            "failures": total.num_failures,
            "p50_ms": percentile(stats, 0.5, None),
            "p99_ms": percentile(stats, 0.99, None),
            "slos": [
                {"slo": one.slo.text, "held": one.holds, "measured": one.measured}
                for one in self.verdicts(stats)
            ],
        }
        return json.dumps(body, indent=2) + "\n"


def name_of(kind: str, target: float) -> str:
    """The name of requests at a target in Locust's statistics."""
    return f"{kind} accuracy={shown.target(target)}"


def percentile(stats: Any, share: float, target: float | None) -> float | None:
    """Of the time of all requests, or those at one target, ms; None where there were none."""
    if target is None:
        entries = [stats.total]
    else:
        entries = [stats.entries.get((name_of(kind, target), how)) for kind, how in _KINDS]
    found = [entry for entry in entries if entry is not None and entry.num_requests]
    return max(float(one.get_response_time_percentile(share)) for one in found) if found else None


def seconds_of(stats: Any) -> float:
    """From the first request to the last, s."""
    last = stats.total.last_request_timestamp
    return max(0.0, last - stats.total.start_time) if last else 0.0


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text of at most 80 columns."""
    lines = [
        f"{'target':>7} {'n':>6} {'achieved':>8} {'95 % interval':>14} {'esc.':>6} {'degr.':>6}"
        f" {'p50':>5} {'p95':>5} {'p99 ms':>6} {'right/s':>7}"
    ]
    for row in rows:
        p50, p95, p99 = (
            "-" if row[key] is None else f"{row[key]:.0f}" for key in ("p50_ms", "p95_ms", "p99_ms")
        )
        lines.append(
            f"{shown.target(row['target']):>7} {row['n']:6d} {row['achieved']:8.3f} "
            f"{shown.interval(row['ci_low'], row['ci_high']):>14} {row['escalation_rate']:6.1%} "
            f"{row['degraded_rate']:6.1%} {p50:>5} {p95:>5} {p99:>6} {row['goodput']:7.1f}"
        )
    return "\n".join(lines)


def _say(error: Exception) -> None:
    hint = error.hint if isinstance(error, HawkVisionError) else ""
    print(f"error: {error}. {hint}".strip(), file=sys.stderr, flush=True)


RUN = Run()
"""The one of this process."""
