"""`/v1/feedback`, `/v1/apps…` and `…/accuracy`: what was delivered, and who asked for what."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from aiohttp import web

from edge_agent.classify import Classifier
from edge_agent.fleet.tracking import Tracking
from edge_agent.http.auth import AppKeys
from edge_agent.http.bodies import read_json
from edge_agent.http.parameters import parse_app, parse_app_target
from edge_agent.http.replies import Handler, guarded, json_reply
from edge_agent.metrics import AgentMetrics
from hawkvision.cascade import parse_accuracy
from hawkvision.contract.agents import AgentStatus, agents_body
from hawkvision.contract.apps import AppInfo, apps_body
from hawkvision.contract.delivered import (
    AppThreshold,
    Estimate,
    Report,
    Tally,
    Threshold,
    Window,
)
from hawkvision.contract.feedback import Feedback, FeedbackTaken
from hawkvision.errors import (
    StoreUnavailable,
    UnknownAnswer,
    UnknownApp,
)
from hawkvision.tracking import estimate
from hawkvision.tracking.counts import PROBES, TASK_WIDE, Delivered, add_up
from hawkvision.tracking.records import AppTarget

WINDOWS = {"5m": 300.0, "1h": 3600.0, "24h": 86_400.0}
_MOST_SERIES = 50


class AccuracyRoutes:
    """Routes beside the hot path; errors of the store become answers that say so."""

    def __init__(self, classifier: Classifier, tracking: Tracking, keys: AppKeys) -> None:
        self._keys = keys
        self._classifier = classifier
        self._tracking = tracking

    def table(self) -> list[tuple[str, str, Handler]]:
        """Method, path, handler."""
        return [
            ("POST", "/v1/feedback", guarded(self.feedback)),
            ("GET", "/v1/apps", guarded(self.apps)),
            ("GET", "/v1/apps/{app}", guarded(self.get_app)),
            ("PUT", "/v1/apps/{app}", guarded(self.put_app)),
            ("DELETE", "/v1/apps/{app}", guarded(self.delete_app)),
            ("GET", "/v1/apps/{app}/accuracy", guarded(self.app_accuracy)),
            ("GET", "/v1/tasks/{task}/accuracy", guarded(self.task_accuracy)),
            ("GET", "/v1/agents", guarded(self.agents)),
        ]

    async def feedback(self, request: web.Request) -> web.Response:
        """`POST /v1/feedback`: 202, and whether it counted (copies do not)."""
        feedback = Feedback.parse(await read_json(request))
        receipt = self._tracking.receipt(feedback.request_id)
        if receipt is None:
            raise UnknownAnswer(
                "no answer of the last day has this request id",
                hint="Send the request_id of an answer as it was given.",
            )
        self._keys.check(receipt.app, request.headers.get("Authorization"))
        task = self._classifier.task(receipt.task).task
        truth = task.kind.parse_feedback(feedback.truth)
        counted = await self._tracking.feed_back(receipt, truth)
        return json_reply(FeedbackTaken(counted).as_dict(), 202)

    async def apps(self, _request: web.Request) -> web.Response:
        """`GET /v1/apps`."""
        return json_reply(apps_body([_app(one) for one in self._tracking.apps.values()]))

    async def get_app(self, request: web.Request) -> web.Response:
        """`GET /v1/apps/{app}`."""
        return json_reply(_app(self._known(request)).as_dict())

    def _known(self, request: web.Request) -> AppTarget:
        app = parse_app(request.match_info["app"])
        stored = self._tracking.apps.get(app)
        if stored is None:
            raise UnknownApp(f"no app {app!r} is stored", hint=f"PUT /v1/apps/{app} first.")
        return stored

    async def put_app(self, request: web.Request) -> web.Response:
        """`PUT /v1/apps/{app}`: 200; 422 for a target that cannot be certified."""
        app = parse_app(request.match_info["app"])
        self._keys.check(app, request.headers.get("Authorization"))
        target = parse_app_target(app, await read_json(request))
        policy = self._classifier.task(target.task).policy
        policy.resolve(parse_accuracy(target.accuracy))
        await self._tracking.store.put_app(target)
        self._tracking.apps[target.app] = target
        return json_reply(_app(target).as_dict())

    async def delete_app(self, request: web.Request) -> web.Response:
        """`DELETE /v1/apps/{app}`: 204."""
        app = parse_app(request.match_info["app"])
        self._keys.check(app, request.headers.get("Authorization"))
        known = await self._tracking.store.delete_app(app)
        self._tracking.apps.pop(app, None)
        if not known:
            raise UnknownApp(f"no app {app!r} is stored")
        return web.Response(status=204)

    async def app_accuracy(self, request: web.Request) -> web.Response:
        """`GET /v1/apps/{app}/accuracy`."""
        stored = self._known(request)
        local = self._classifier.task(stored.task)
        target = local.policy.resolve(parse_accuracy(stored.accuracy))
        in_force = self._tracking.in_force(stored.task, target, stored.app)
        app = AppThreshold(_app(stored), in_force.threshold, target.threshold)
        return json_reply((await self.report(stored.task, app)).as_dict())

    async def task_accuracy(self, request: web.Request) -> web.Response:
        """`GET /v1/tasks/{task}/accuracy`."""
        local = self._classifier.task(request.match_info["task"])
        return json_reply((await self.report(local.task.name)).as_dict())

    async def report(self, task: str, app: AppThreshold | None = None) -> Report:
        """Counts and estimates by window, thresholds, and the store's state; of one app, or all."""
        tracking = self._tracking
        thresholds = {
            name: Threshold(state.threshold, state.state)
            for name, state in sorted(tracking.thresholds(task).items())
        }
        windows: dict[str, Window] = {}
        try:
            for name, window_s in WINDOWS.items():
                found = await tracking.store.counts(task, window_s=window_s, now=time.time())
                kept = {
                    key: sums
                    for key, sums in found.items()
                    if key.target not in (TASK_WIDE, PROBES)
                    and (app is None or key.app == app.app.app)
                }
                windows[name] = Window(
                    _tally(kept.values()),
                    {
                        target: _tally(sums for key, sums in kept.items() if key.target == target)
                        for target in sorted({key.target for key in kept})
                    },
                )
        except StoreUnavailable as error:
            tracking.delivery.away(error)
        return Report(task, thresholds, tracking.audit_share(task), windows, tracking.status(), app)

    async def agents(self, _request: web.Request) -> web.Response:
        """`GET /v1/agents`: the fleet's agents that are alive."""
        found = await self._tracking.store.agents()
        agents = [
            AgentStatus(one.agent_id, one.url, one.tasks, one.started_s, one.seen_s)
            for one in found
        ]
        return json_reply(agents_body(agents))


async def export(routes: AccuracyRoutes, metrics: AgentMetrics, tasks: list[str]) -> None:
    """Put what the fleet delivered in the last 5 minutes into the gauges."""
    for task in tasks:
        report = await routes.report(task)
        window = report.windows.get("5m")
        targets = {} if window is None else window.targets
        for target, tally in list(targets.items())[:_MOST_SERIES]:
            steered = report.thresholds.get(target)
            values = {
                "escalation_rate": tally.escalation_rate or 0.0,
                "audit_share": report.audit_share,
                "threshold": 0.0 if steered is None else steered.threshold,
            }
            if not target.startswith("relative:"):
                values["target"] = float(target)
            if (best := tally.best) is not None:
                values |= {
                    "delivered": best.value,
                    "delivered_low": best.low,
                    "delivered_high": best.high,
                }
            metrics.set_accuracy(task, target, values)


def _tally(parts: Iterable[Mapping[str, float]]) -> Tally:
    found = Delivered.read(add_up(parts))
    return Tally(
        requests=found.total,
        escalation_rate=found.answered_by("dc") / found.total if found.total else None,
        audits=found.audits.n,
        degraded=found.degraded,
        loss_levels=found.by_loss_level,
        estimates={
            one.source: Estimate(one.source, one.value, one.low, one.high, one.n)
            for one in estimate.from_all_sources(found)
        },
    )


def _app(stored: AppTarget) -> AppInfo:
    accuracy = parse_accuracy(stored.accuracy).as_json()
    return AppInfo(stored.app, stored.task, accuracy, stored.deadline_ms)
