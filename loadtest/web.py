"""The accuracy delivered as a tab of Locust's own page, through its documented extension points.

See locust's examples/extend_modern_web_ui.py: a tab and its table are named in the page's settings,
their rows come with every reply of `/stats/requests`.
"""

from __future__ import annotations

import json
from typing import Any

from hawkvision.calibration import shown
from loadtest.accuracy import DeliveredAccuracy

KEY = "accuracy"
_COLUMNS = {
    "target": "Accuracy asked",
    "n": "Answers",
    "achieved": "Delivered",
    "interval": "95 % interval",
    "escalated": "Escalated",
    "degraded": "Degraded",
}


def add_tab(web_ui: Any, delivered: DeliveredAccuracy) -> None:
    """Add the tab; `delivered` is read each time that the page asks."""
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
                "extended_stats": [{"key": KEY, "data": rows(delivered)}],
            }
            response.set_data(json.dumps(body))
        return response

    web_ui.app.after_request(add_rows)


def rows(delivered: DeliveredAccuracy) -> list[dict[str, str]]:
    """One row for each target, as it is shown."""
    return [
        {
            "target": shown.target(row["target"]),
            "n": str(row["n"]),
            "achieved": f"{row['achieved']:.3f}",
            "interval": shown.interval(row["ci_low"], row["ci_high"]),
            "escalated": f"{row['escalation_rate']:.1%}",
            "degraded": f"{row['degraded_rate']:.1%}",
        }
        for row in delivered.rows()
    ]
