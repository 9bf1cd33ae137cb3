"""`/v1/feedback`, `/v1/apps…` and `…/accuracy`: what was delivered, and who asked for what."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from edge_agent.classify import Classifier
from edge_agent.fleet.delivered import DeliveredWindows
from edge_agent.fleet.fleet import Fleet
from edge_agent.http.bodies import BodyReader
from edge_agent.http.replies import json_reply
from edge_agent.http.routes import Route, Scope, caller_of
from edge_agent.parameters import parse_app, parse_app_target, parse_feedback
from hawkvision.cascade import parse_accuracy
from hawkvision.errors import UnknownAnswer, UnknownApp
from hawkvision.tracking import estimate
from hawkvision.tracking.counts import Delivered, add_up
from hawkvision.tracking.records import AgentInfo, AppTarget


class AccuracyRoutes:
    """Routes beside the hot path; errors of the store become answers that say so."""

    def __init__(self, classifier: Classifier, fleet: Fleet, bodies: BodyReader) -> None:
        self._classifier = classifier
        self._fleet = fleet
        self._bodies = bodies

    def table(self) -> list[Route]:
        """The routes."""
        return [
            Route("POST", "/v1/feedback", self.feedback, Scope.APP),
            Route("GET", "/v1/apps", self.apps),
            Route("GET", "/v1/apps/{app}", self.get_app),
            Route("PUT", "/v1/apps/{app}", self.put_app, Scope.APP),
            Route("DELETE", "/v1/apps/{app}", self.delete_app, Scope.APP),
            Route("GET", "/v1/apps/{app}/accuracy", self.app_accuracy),
            Route("GET", "/v1/tasks/{task}/accuracy", self.task_accuracy),
            Route("GET", "/v1/agents", self.agents),
        ]

    async def feedback(self, request: web.Request) -> web.Response:
        """`POST /v1/feedback`: 202, and whether it counted (copies do not)."""
        request_id, feedback = parse_feedback(await self._bodies.json(request))
        receipt = self._fleet.receipt(request_id)
        if receipt is None:
            raise UnknownAnswer(
                "no answer of the last day has this request id",
                hint="Send the request_id of an answer as it was given.",
            )
        caller_of(request).check(receipt.app)
        task = self._classifier.task(receipt.task).task
        truth = task.kind.parse_feedback(feedback)
        return json_reply({"counted": await self._fleet.feed_back(receipt, truth)}, 202)

    async def apps(self, _request: web.Request) -> web.Response:
        """`GET /v1/apps`."""
        return json_reply({"apps": [describe_app(one) for one in self._fleet.apps.values()]})

    async def get_app(self, request: web.Request) -> web.Response:
        """`GET /v1/apps/{app}`."""
        return json_reply(describe_app(self._known(request)))

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
        await self._fleet.put_app(target)
        return json_reply(describe_app(target))

    async def delete_app(self, request: web.Request) -> web.Response:
        """`DELETE /v1/apps/{app}`: 204."""
        app = parse_app(request.match_info["app"])
        if not await self._fleet.delete_app(app):
            raise UnknownApp(f"no app {app!r} is stored")
        return web.Response(status=204)

    async def app_accuracy(self, request: web.Request) -> web.Response:
        """`GET /v1/apps/{app}/accuracy`."""
        stored = self._known(request)
        local = self._classifier.task(stored.task)
        target = local.policy.resolve(parse_accuracy(stored.accuracy))
        in_force = self._fleet.in_force(stored.task, target, stored.app)
        found = await self._fleet.delivered(stored.task, lambda key: key.app == stored.app)
        return json_reply(
            {
                **describe_app(stored),
                "threshold": in_force.threshold,
                "certified_threshold": target.threshold,
                **describe_delivered(found),
            }
        )

    async def task_accuracy(self, request: web.Request) -> web.Response:
        """`GET /v1/tasks/{task}/accuracy`."""
        name = self._classifier.task(request.match_info["task"]).task.name
        found = await self._fleet.delivered(name, lambda _key: True)
        return json_reply({"task": name, **describe_delivered(found)})

    async def agents(self, _request: web.Request) -> web.Response:
        """`GET /v1/agents`: the fleet's agents that are alive."""
        found = await self._fleet.store.agents()
        return json_reply({"agents": [describe_agent(one) for one in found]})


def describe_delivered(delivered: DeliveredWindows) -> dict[str, Any]:
    """Counts and estimates by window, thresholds, and the store's state."""
    return {
        "thresholds": {
            name: {"threshold": state.threshold, "state": state.state}
            for name, state in sorted(delivered.thresholds.items())
        },
        "audit_share": delivered.audit_share,
        "windows": {
            name: {
                **estimate.describe(Delivered.read(add_up(targets.values()))),
                "targets": {
                    target: estimate.describe(Delivered.read(sums))
                    for target, sums in targets.items()
                },
            }
            for name, targets in delivered.windows.items()
        },
        "store": delivered.store,
    }


def describe_app(target: AppTarget) -> dict[str, Any]:
    """What an app asks for."""
    accuracy = parse_accuracy(target.accuracy)
    return {
        "app": target.app,
        "task": target.task,
        "accuracy": accuracy.as_json(),
        "deadline_ms": target.deadline_ms,
    }


def describe_agent(info: AgentInfo) -> dict[str, Any]:
    """An agent of the fleet."""
    return {
        "agent_id": info.agent_id,
        "url": info.url,
        "tasks": list(info.tasks),
        "started_s": info.started_s,
        "seen_s": info.seen_s,
    }
