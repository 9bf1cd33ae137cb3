"""`/v1/tasks…`: what is served, and what each accuracy target costs."""

from __future__ import annotations

import asyncio

from aiohttp import web

from edge_agent.classify import Classifier
from edge_agent.http.describe import describe_task
from edge_agent.local import LocalTask
from edge_agent.parameters import parse_link_ms
from hawkvision.contract.task import TaskInfo, tasks_body
from hawkvision.json_schema import Listed
from hawkvision.serving.access.scopes import Scope
from hawkvision.serving.http.replies import json_reply
from hawkvision.serving.http.routes import Route
from hawkvision.serving.http.shapes import says
from hawkvision.serving.shared import Shared
from hawkvision.summary import Summary, summarise_task
from hawkvision.tracking.versions import task_of


class TaskRoutes:
    """The tasks of this agent; `delta` is what their curves certify at."""

    def __init__(self, classifier: Classifier, delta: float) -> None:
        self._classifier = classifier
        self._delta = delta
        self._summaries: dict[str, Summary] = {}
        self._summarising: Shared[str, Summary] = Shared(0.0)

    def table(self) -> list[Route]:
        """The routes."""
        curve = says(Summary, query={"link_ms": float})
        return [
            Route("GET", "/v1/tasks", self.tasks, Scope.READ, says(Listed("tasks", TaskInfo))),
            Route("GET", "/v1/tasks/{task}", self.task, Scope.READ, says(TaskInfo)),
            Route("GET", "/v1/tasks/{task}/curve", self.curve, Scope.READ, curve),
        ]

    async def tasks(self, _request: web.Request) -> web.Response:
        """`GET /v1/tasks`: the default task first."""
        tasks = [describe_task(local) for local in self._classifier.tasks.values()]
        return json_reply(tasks_body(tasks))

    async def task(self, request: web.Request) -> web.Response:
        """`GET /v1/tasks/{task}`."""
        info = describe_task(self._classifier.task(request.match_info["task"]))
        return json_reply(info.as_dict())

    async def curve(self, request: web.Request) -> web.Response:
        """`GET /v1/tasks/{task}/curve?link_ms=20`: targets, thresholds and what they cost."""
        local = self._classifier.task(request.match_info["task"])
        link_ms = parse_link_ms(request.rel_url.query)
        summary = self._summaries.get(local.counted) or await self._summarising.get(
            local.counted, lambda: self._summarised(local)
        )
        return json_reply(summary.over_link(link_ms).as_dict())

    async def _summarised(self, local: LocalTask) -> Summary:
        name = local.counted
        if name not in self._summaries:
            found = await asyncio.to_thread(
                summarise_task, local.task, local.policy.scores, delta=self._delta
            )
            for old in [one for one in self._summaries if task_of(one) == local.task.name]:
                del self._summaries[old]
            self._summaries[name] = found
        return self._summaries[name]
