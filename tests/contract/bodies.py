"""One JSON body of each kind, as the agent sends them, and whatever else may come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from hawkvision.contract.agents import AgentStatus
from hawkvision.contract.answer import Answer
from hawkvision.contract.apps import AppInfo
from hawkvision.contract.delivered import Report
from hawkvision.contract.feedback import FeedbackTaken
from hawkvision.contract.power import PowerStatus
from hawkvision.contract.stream import Advice, FrameResult, StreamEnd, StreamStatus
from hawkvision.contract.task import TaskInfo

ANSWER: dict[str, Any] = {
    "request_id": "r-1",
    "task": "tiny",
    "label": "green",
    "class_id": 1,
    "confidence": 0.75,
    "top_k": [
        {"label": "green", "class_id": 1, "probability": 0.75},
        {"label": "red", "class_id": 0, "probability": 0.25},
    ],
    "rung": "dc",
    "served_by": "dc",
    "escalated": True,
    "degraded": None,
    "accuracy": {"target": 0.8, "certified": True, "threshold": 0.5},
    "timing_ms": {"decode": 0.1, "infer": 0.2, "escalate": 0.0, "total": 0.4},
}
COUNTING: dict[str, Any] = {
    "request_id": "r-2",
    "task": "bolts",
    "count": 3,
    "confidence": 0.5,
    "where": [[0.25, 0.5], [0.1, 0.2], [0.3, 0.4]],
    "rung": "edge",
    "served_by": "edge",
    "escalated": False,
    "degraded": "loss",
    "accuracy": {
        "target": "relative:0.02",
        "certified": False,
        "threshold": 1.01,
        "reason": "numerics",
    },
    "timing_ms": {"total": 1.5},
}
TASK: dict[str, Any] = {
    "name": "tiny",
    "version": "1",
    "description": "Four colours.",
    "kind": "classification",
    "labels": ["red", "green", "blue", "grey"],
    "aliases": {"gray": "grey"},
    "default_accuracy": 0.8,
    "highest_certifiable": 0.93,
    "tiers": [0.8, 0.9],
    "delta": 0.05,
    "calibration_images": 600,
    "engine": {"device": "cpu", "measured": {"watts": 1.5}},
    "certificate": {"engine": "onnx", "agree": True, "deviation": None},
    "rungs": [
        {"name": "edge", "precision": "int8", "input": [3, 32, 32], "resident": True},
    ],
}
_TALLY: dict[str, Any] = {
    "requests": 20.0,
    "escalation_rate": 0.25,
    "audits": 3.0,
    "degraded": {"deadline": 1.0},
    "loss_levels": {"0": 20.0},
    "estimates": {
        name: {"source": name, "value": 0.9, "low": 0.8, "high": 0.95, "n": 12.0}
        for name in ("feedback", "prediction")
    },
    "source": "feedback",
}
_REPORT: dict[str, Any] = {
    "version": "2",
    "thresholds": {"0.9": {"threshold": 0.7, "state": "steering"}},
    "audit_share": 0.03,
    "windows": {"5m": {**_TALLY, "targets": {"0.9": _TALLY}}, "1h": {**_TALLY, "targets": {}}},
    "store": {
        "available": False,
        "unavailable_since": 1_700_000_000.0,
        "reason": "connection refused",
        "backlog": 4,
        "dropped": 0,
        "journal": "ok",
    },
}
TASK_REPORT = {"task": "tiny", **_REPORT}
APP = {"app": "gate", "task": "tiny", "accuracy": "relative:0.02", "deadline_ms": 80.0}
APP_REPORT = {**APP, "threshold": 0.7, "certified_threshold": 0.6, **_REPORT}
AGENT = {
    "agent_id": "a1",
    "url": "http://127.0.0.1:8080",
    "tasks": ["tiny"],
    "started_s": 1.5,
    "seen_s": 2.5,
}
POWER: dict[str, Any] = {
    "measured": True,
    "reason": None,
    "joules": 120.0,
    "seconds": 60.0,
    "unmeasured_s": 0.0,
    "rails": [
        {"source": "board", "rail": "VDD_IN", "watts": 2.0, "counted": True},
        {"source": "board", "rail": "VDD_SOC", "watts": None, "counted": False},
    ],
    "celsius": {"cpu-thermal": 48.5},
}
FRAME = {
    "timestamp": 9000,
    "complete": False,
    "lost_fraction": 0.25,
    "packets": 7,
    "assembly_ms": 3.5,
}
ERROR = {"code": "corrupt_image", "message": "it is corrupt", "hint": "send another"}
STATUS = {
    "id": "s",
    "ssrc": 7,
    "bound": True,
    "stopped": None,
    "advice": [{"code": "congestion", "message": "send less"}],
    "frames": {"answered": 3, "damaged": 1, "failed": 0, "resend": 0, "in_flight": 2},
    "packets": {
        "accepted": 90,
        "rejected": 1,
        "malformed": 2,
        "lost": 3,
        "recovered": 4,
        "late": 5,
        "duplicate": 6,
        "conflicting": 7,
        "over_limit": 8,
    },
    "events_dropped": 0,
}

EVERY: dict[str, tuple[Callable[[object], Any], dict[str, Any]]] = {
    "answer": (Answer.parse, ANSWER),
    "answer of another kind": (Answer.parse, COUNTING),
    "task": (TaskInfo.parse, TASK),
    "report of a task": (Report.parse, TASK_REPORT),
    "report of an app": (Report.parse, APP_REPORT),
    "app": (AppInfo.parse, APP),
    "agent": (AgentStatus.parse, AGENT),
    "power": (PowerStatus.parse, POWER),
    "feedback taken": (FeedbackTaken.parse, {"counted": True}),
    "result": (FrameResult.parse, {**ANSWER, "frame": FRAME, "resend": True}),
    "advice": (Advice.parse, {"code": "congestion", "message": "send less"}),
    "end": (StreamEnd.parse, {"reason": "expired"}),
    "status": (StreamStatus.parse, STATUS),
}
"""By name: what parses such a body, and one."""

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([10**400, -1, "0.9", "relative:0.02"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@st.composite
def damaged(draw: st.DrawFn, body: dict[str, Any]) -> object:
    """`body` with a key somewhere in it gone, or with another value."""
    copy: dict[str, Any] = dict(body)
    key = draw(st.sampled_from(sorted(copy)))
    if isinstance(copy[key], dict) and copy[key] and draw(st.booleans()):
        copy[key] = draw(damaged(copy[key]))
    elif draw(st.booleans()):
        copy[key] = draw(json_values)
    else:
        del copy[key]
    return copy
