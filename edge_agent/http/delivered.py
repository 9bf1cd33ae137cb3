"""`/v1/feedback`, `/v1/apps…` and `…/accuracy`: what was delivered, and who asked for what."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from edge_agent.classify import Classifier
from edge_agent.fleet.delivered import DeliveredWindows
from edge_agent.fleet.fleet import Fleet
from edge_agent.http.auth import names_of
from edge_agent.parameters import parse_app, parse_app_target, parse_version
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
from hawkvision.errors import UnknownAnswer, UnknownApp
from hawkvision.json_schema import Listed, Part
from hawkvision.serving.access.guard import current_caller
from hawkvision.serving.access.ring import KeyRing
from hawkvision.serving.access.scopes import Scope
from hawkvision.serving.http.bodies import BodyReader
from hawkvision.serving.http.replies import encoded, encoded_reply, json_reply
from hawkvision.serving.http.routes import Route
from hawkvision.serving.http.shapes import JSON, Shape, says
from hawkvision.serving.shared import AtOnce, Shared
from hawkvision.serving.turns import in_turns
from hawkvision.tracking import estimate
from hawkvision.tracking.counts import Delivered, Sums, add_up
from hawkvision.tracking.records import AppTarget
from hawkvision.tracking.trust import name_of
from hawkvision.tracking.versions import counted, task_of, version_of

_REPORT_GAP_S = 0.2
"""Between the beginnings of two reports on the same; who asks meanwhile shares the next one."""
_AT_ONCE = 64
"""Of feedback, and of changes of apps, that wait for the store at once."""


class AccuracyRoutes:
    """Routes beside the hot path; errors of the store become answers that say so."""

    def __init__(
        self, classifier: Classifier, fleet: Fleet, bodies: BodyReader, keys: KeyRing
    ) -> None:
        self._classifier = classifier
        self._fleet = fleet
        self._bodies = bodies
        self._keys = keys
        self._reports: Shared[str | AppTarget, bytes] = Shared(_REPORT_GAP_S)
        self._feedback = AtOnce(_AT_ONCE, "pieces of feedback")
        self._changes = AtOnce(_AT_ONCE, "changes of apps")

    def table(self) -> list[Route]:
        """The routes."""
        app, read = "/v1/apps/{app}", Scope.READ
        asked = {JSON: Part("AppAsked", AppInfo, frozenset({"app"}), closed=True)}
        put = says(AppInfo, takes=asked)
        gone = Shape(status=204)
        report = says(Report, query={"version": str})
        sent = says(FeedbackTaken, status=202, takes={JSON: Feedback})
        return [
            Route("POST", "/v1/feedback", self.feedback, Scope.FEEDBACK, sent),
            Route("GET", "/v1/apps", self.apps, read, says(Listed("apps", AppInfo))),
            Route("GET", app, self.get_app, read, says(AppInfo)),
            Route("PUT", app, self.put_app, Scope.TARGETS, put, "targets.stored"),
            Route("DELETE", app, self.delete_app, Scope.TARGETS, gone, "targets.deleted"),
            Route("GET", f"{app}/accuracy", self.app_accuracy, read, says(Report)),
            Route("GET", "/v1/tasks/{task}/accuracy", self.task_accuracy, read, report),
            Route("GET", "/v1/agents", self.agents, read, says(Listed("agents", AgentStatus))),
        ]

    async def feedback(self, request: web.Request) -> web.Response:
        """`POST /v1/feedback`: 202, and whether it counted (copies do not)."""
        feedback = Feedback.parse(await self._bodies.json(request))
        receipt = self._fleet.receipt(feedback.request_id)
        if receipt is None:
            raise UnknownAnswer(
                "no answer of the last day has this request id",
                hint="Send the request_id of an answer as it was given.",
            )
        current_caller().check(name_of(receipt.app))
        truth = self._fleet.kind_of(receipt).parse_feedback(feedback.truth)
        with self._feedback:
            taken = await self._fleet.feed_back(receipt, truth)
        return json_reply(FeedbackTaken(taken).as_dict(), 202)

    async def apps(self, _request: web.Request) -> web.Response:
        """`GET /v1/apps`: those that the caller may act for."""
        may = current_caller().may
        stored = [one for one in self._fleet.apps.values() if may(one.app)]
        return json_reply(apps_body([app_info(one) for one in stored]))

    async def get_app(self, request: web.Request) -> web.Response:
        """`GET /v1/apps/{app}`."""
        return json_reply(app_info(self._known(request)).as_dict())

    def _known(self, request: web.Request) -> AppTarget:
        app = parse_app(request.match_info["app"])
        stored = self._fleet.apps.get(app)
        if stored is None:
            raise UnknownApp(f"no app {app!r} is stored", hint=f"PUT /v1/apps/{app} first.")
        return stored

    async def put_app(self, request: web.Request) -> web.Response:
        """`PUT /v1/apps/{app}`: 200; 422 for a target that cannot be certified."""
        app = parse_app(request.match_info["app"])
        target = parse_app_target(app, await self._bodies.json(request))
        policy = self._classifier.task(target.task).policy
        policy.resolve(parse_accuracy(target.accuracy))
        with self._changes:
            await self._fleet.put_app(target)
        return json_reply(app_info(target).as_dict())

    async def delete_app(self, request: web.Request) -> web.Response:
        """`DELETE /v1/apps/{app}`: 204."""
        app = parse_app(request.match_info["app"])
        with self._changes:
            known = await self._fleet.delete_app(app)
        if not known:
            raise UnknownApp(f"no app {app!r} is stored")
        return web.Response(status=204)

    async def app_accuracy(self, request: web.Request) -> web.Response:
        """`GET /v1/apps/{app}/accuracy`."""
        stored = self._known(request)
        return encoded_reply(await self._reports.get(stored, lambda: self._of_app(stored)))

    async def _of_app(self, stored: AppTarget) -> bytes:
        local = self._classifier.task(stored.task)
        target = local.policy.resolve(parse_accuracy(stored.accuracy))
        names = names_of(self._keys, stored.app)
        name = local.counted
        in_force = self._fleet.in_force(name, target, names[0])
        found = await self._fleet.delivered(name, lambda key: key.app in names, app=names[0])
        app = AppThreshold(app_info(stored), in_force.threshold, target.threshold)
        return await _encoded(name, found, app)

    async def task_accuracy(self, request: web.Request) -> web.Response:
        """`GET /v1/tasks/{task}/accuracy?version=2`: of the version that serves, or another one."""
        task = self._classifier.task(request.match_info["task"]).task
        version = parse_version(request.rel_url.query)
        name = counted(task.name, task.version if version is None else version)
        return encoded_reply(await self._reports.get(name, lambda: self._of_task(name)))

    async def _of_task(self, name: str) -> bytes:
        return await _encoded(name, await self._fleet.delivered(name, lambda _key: True))

    async def agents(self, _request: web.Request) -> web.Response:
        """`GET /v1/agents`: the fleet's agents that are alive."""
        found = await self._fleet.agents()
        agents = [
            AgentStatus(one.agent_id, one.url, one.tasks, one.started_s, one.seen_s)
            for one in found
        ]
        return json_reply(agents_body(agents))


async def _encoded(task: str, found: DeliveredWindows, app: AppThreshold | None = None) -> bytes:
    """Counts and estimates by window, thresholds, and the store's state; of one app, or all.

    `task` is a counted name.
    """
    windows = {}
    for name, targets in found.windows.items():
        tallies = {target: tally_of(sums) async for target, sums in in_turns(targets.items())}
        windows[name] = Window(tally_of(add_up(targets.values())), tallies)
    return encoded(_report(task, found, windows, app).as_dict())


def _report(
    task: str, found: DeliveredWindows, windows: Mapping[str, Window], app: AppThreshold | None
) -> Report:
    return Report(
        task_of(task),
        {
            name: Threshold(state.threshold, state.state)
            for name, state in sorted(found.thresholds.items())
        },
        found.audit_share,
        windows,
        found.store,
        app,
        version_of(task),
    )


def tally_of(sums: Sums) -> Tally:
    """What was counted, and every estimate that follows from it."""
    found = Delivered.read(sums)
    estimates = estimate.from_all_sources(found)
    chosen = estimate.chosen(estimates)
    return Tally(
        requests=found.total,
        escalation_rate=found.answered_by("dc") / found.total if found.total else None,
        audits=found.audits.n,
        degraded=found.degraded,
        loss_levels=found.by_loss_level,
        estimates={
            one.source: Estimate(one.source, one.value, one.low, one.high, one.n)
            for one in estimates
        },
        source=None if chosen is None else chosen.source,
    )


def app_info(stored: AppTarget) -> AppInfo:
    """What an app asks for."""
    accuracy = parse_accuracy(stored.accuracy).as_json()
    return AppInfo(stored.app, stored.task, accuracy, stored.deadline_ms)
