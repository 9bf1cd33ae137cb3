"""The accuracy delivered as a tab of Locust's own page, through its documented extension points.

See locust's examples/extend_modern_web_ui.py: a tab and its table are named in the page's settings,
their rows come with every reply of `/stats/requests`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hawkvision.calibration import shown

KEY = "accuracy"
_COLUMNS = {
    "target": "Accuracy asked",
    "n": "Answers",
    "achieved": "Delivered",
    "interval": "95 % interval",
    "escalated": "Escalated",
    "degraded": "Degraded",
    "p50": "P50 (ms)",
    "p95": "P95 (ms)",
    "p99": "P99 (ms)",
    "goodput": "Right, in time (1/s)",
}


def add_tab(web_ui: Any, current: Callable[[], list[dict[str, Any]]]) -> None:
    """Add the tab; `current` gives `Run.rows` each time that the page asks."""
    web_ui.template_args |= {
        "extended_tabs": [{"title": "Accuracy", "key": KEY}],
        "extended_tables": [
            {
                "key": KEY,
                "structure": [{"key": key, "title": title} for key, title in _COLUMNS.items()],
            }
        ],
    }

    def add_rows(response: Any) -> Any:
        from flask import request

        if request.path.rstrip("/").endswith("/stats/requests") and response.is_json:
            body = {
                **response.get_json(),
                "extended_stats": [{"key": KEY, "data": rows(current())}],
            }
            response.set_data(json.dumps(body))
        return response

    web_ui.app.after_request(add_rows)


def rows(current: list[dict[str, Any]]) -> list[dict[str, str]]:
    """One row for each target, as it is shown."""
    return [
        {
            "target": shown.target(row["target"]),
            "n": str(row["n"]),
            "achieved": f"{row['achieved']:.3f}",
            "interval": shown.interval(row["ci_low"], row["ci_high"]),
            "escalated": f"{row['escalation_rate']:.1%}",
            "degraded": f"{row['degraded_rate']:.1%}",
            **{
                name: "-" if row[f"{name}_ms"] is None else f"{row[f'{name}_ms']:.0f}"
                for name in ("p50", "p95", "p99")
            },
            "goodput": f"{row['goodput']:.1f}",
        }
        for row in current
    ]
