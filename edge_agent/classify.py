"""The main job: an image and an accuracy target in, an answer out, always."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from edge_agent.chain import NOTHING, Chain, Chained
from edge_agent.fleet.fleet import Fleet
from edge_agent.local import LocalAnswer, LocalTask
from edge_agent.metrics import AgentMetrics
from edge_agent.outcome import Outcome
from edge_agent.parameters import ClassifyParameters
from edge_agent.statistics import TaskStatistics
from edge_agent.traces import Trace, trace_of
from edge_agent.upstream import Call
from hawkvision.cascade import AccuracyTarget, CascadePolicy, parse_accuracy
from hawkvision.contract.answer import Answer, Promise
from hawkvision.errors import HawkVisionError, UnknownApp, UnknownTask
from hawkvision.serving.job import Waiter
from hawkvision.serving.pool import WorkerPool
from hawkvision.serving.request_id import RequestId, current
from hawkvision.serving.tracing import Tracing
from hawkvision.tracking.records import AppTarget
from hawkvision.tracking.versions import task_of

_log = logging.getLogger(__name__)


class Request(NamedTuple):
    """A request whose parameters are resolved: the task, the threshold, the deadline.

    `app` is the app as it is counted (see `hawkvision.tracking.trust`).
    """

    local: LocalTask
    target: AccuracyTarget
    arrived: float
    deadline: float
    top_k: int
    trace: Trace | None
    app: str


@dataclass(frozen=True, slots=True)
class Loss:
    """What a lossy link took of an image: the calibrated loss level, and whether it certifies."""

    level: float
    certified: bool


class Classifier:
    """Confidence scaling over the local tasks and the chain above their first rungs."""

    def __init__(
        self,
        tasks: dict[str, LocalTask],
        pool: WorkerPool,
        chain: Chain,
        metrics: AgentMetrics,
        tracking: Fleet,
        deadline_ms: float,
        tracing: Tracing | None = None,
    ) -> None:
        self.tasks = tasks
        self._tracing = tracing
        self.tracking = tracking
        self.pool = pool
        self._default = next(iter(tasks))
        self._chain = chain
        self._metrics = metrics
        self._deadline_ms = deadline_ms
        self._statistics: dict[str, TaskStatistics] = {}
        self.heard: Callable[[Outcome, Answer], None] | None = None
        """Told of every answer on its way: to be quick."""

    def task(self, name: str | None) -> LocalTask:
        """The version that serves of a named task, or of the default one. Raises UnknownTask."""
        found = self.tasks.get(self._default if name is None else name)
        if found is None:
            missing = (name or self._default)[:80]
            raise UnknownTask(
                f"no task {missing!r} is served here",
                hint=f"Served: {', '.join(self.tasks) or 'none'}.",
            )
        return found

    @property
    def default(self) -> LocalTask | None:
        """The task that serves requests which name none; None while it is unloaded."""
        return self.tasks.get(self._default)

    def statistics_of(self, local: LocalTask) -> TaskStatistics:
        """What one version of a task answered."""
        found = self._statistics.get(local.counted)
        if found is None:
            found = self._statistics[local.counted] = TaskStatistics()
        return found

    def retires(self, local: LocalTask) -> None:
        """A version serves no more: of its task only what it counted is kept, while it is held."""
        name = local.task.name
        for old in [one for one in self._statistics if task_of(one) == name]:
            if old != local.counted:
                del self._statistics[old]

    def trace(self, header: str | None, arrived: float) -> Trace | None:
        """What there is to tell, or to hand on, of a request with this `traceparent`."""
        made = trace_of(self._tracing, header, arrived)
        if made is not None and (named := current()) is not None:
            named.trace = made.header
        return made

    def resolve(
        self,
        parameters: ClassifyParameters,
        arrived: float,
        trace: Trace | None,
        counted: str,
        local: LocalTask | None = None,
    ) -> Request:
        """Before any image is decoded. `counted` is what the app is counted as (see `trust`).

        `local` is for whoever has found the task already: a new version may have taken over since.

        Raises UnknownTask, UnknownApp or TargetUnreachable.
        """
        stored = self._app(parameters.app) if parameters.app else None
        if local is None:
            local = self.task(parameters.task or (stored.task if stored else None))
        policy = local.policy
        wanted = parameters.accuracy
        if wanted is None and stored is not None:
            wanted = parse_accuracy(stored.accuracy)
        target = policy.default if wanted is None else policy.resolve(wanted)
        target = self.tracking.in_force(local.counted, target, counted)
        deadline_ms = parameters.deadline_ms or (stored.deadline_ms if stored else None)
        deadline = arrived + (deadline_ms or self._deadline_ms) / 1e3
        return Request(local, target, arrived, deadline, parameters.top_k, trace, counted)

    def _app(self, app: str) -> AppTarget:
        stored = self.tracking.apps.get(app)
        if stored is None:
            raise UnknownApp(
                f"no app {app[:80]!r} is stored",
                hint=f"PUT /v1/apps/{app} first, or give accuracy= and task=.",
            )
        return stored

    async def classify(self, image: bytes, request: Request) -> Answer:
        """The answer for one encoded image.

        Raises the image errors, Overloaded, and EngineError.
        """
        return (await self.answer(image, request))[1]

    async def answer(self, image: bytes, request: Request) -> tuple[Outcome, Answer]:
        """As `classify`, and what it was made of."""
        try:
            local = request.local
            edge = await self.pool.submit(
                local.answer, image, deadline=request.deadline, pace=local.pace
            )
        except HawkVisionError as error:
            self.failed(request, error)
            raise
        return await self.complete(image, request, edge)

    def begin(self, image: bytes, request: Request, into: Waiter) -> None:
        """The edge's part of an answer (`LocalAnswer`), promised. Raises Overloaded."""
        local = request.local
        self.pool.enter(local.answer, image, into, deadline=request.deadline, pace=local.pace)

    def failed(self, request: Request, error: HawkVisionError) -> None:
        """The edge gave no answer to an image."""
        if request.trace is not None:
            request.trace.failed(error)
        self.statistics_of(request.local).failed(time.monotonic() - request.arrived)

    async def complete(
        self, image: bytes, request: Request, edge: LocalAnswer
    ) -> tuple[Outcome, Answer]:
        """What is answered once the edge's part is there: escalated below the threshold."""
        if CascadePolicy.answers_locally(edge.prediction, request.target):
            return self._counted(request, image, edge)
        start = time.monotonic()
        upper = await self.escalate(image, request)
        escalate_ms = (time.monotonic() - start) * 1e3
        return self._counted(request, image, edge, upper, escalate_ms)

    def reply(
        self,
        request: Request,
        image: bytes | None,
        edge: LocalAnswer,
        upper: Chained | None = None,
        escalate_ms: float = 0.0,
        loss: Loss | None = None,
    ) -> Answer:
        """Count an answer and put it into the contract's terms.

        `upper` is what escalating gave, if it was tried; `loss` says what the link took; `image` is
        None where the answer cannot be audited.
        """
        return self._counted(request, image, edge, upper, escalate_ms, loss)[1]

    def _counted(
        self,
        request: Request,
        image: bytes | None,
        edge: LocalAnswer,
        upper: Chained | None = None,
        escalate_ms: float = 0.0,
        loss: Loss | None = None,
    ) -> tuple[Outcome, Answer]:
        above = upper or NOTHING
        degraded: str | None = above.refused
        if loss is not None and not loss.certified:
            degraded = degraded or "loss"
        ended = above.refused is None
        outcome = Outcome(
            local=request.local,
            target=request.target,
            app=request.app,
            edge=edge,
            dc=above.prediction if ended else None,
            degraded=degraded,
            image=image,
            loss_level=0.0 if loss is None else loss.level,
            top_k=request.top_k,
            escalate_ms=escalate_ms,
            total_s=time.monotonic() - request.arrived,
            dc_agrees=above.agrees,
            best=None if ended else above.prediction,
            place=above.place,
            over_link=above.over_link,
            chain_certified=_chain_certified(request, above, loss),
        )
        if degraded is not None:
            _log.debug("task %s: an answer is degraded: %s", request.local.task.name, degraded)
        request_id = self.tracking.answered(outcome)
        self._metrics.answered(outcome)
        self.statistics_of(request.local).answered(outcome)
        answer = answer_of(outcome, request_id)
        if self.heard is not None:
            self.heard(outcome, answer)
        if request.trace is not None:
            request.trace.answered(outcome)
        return outcome, answer

    async def escalate(self, image: bytes, request: Request) -> Chained:
        """What the chain above the first rung says of an encoded image by its deadline."""
        task = request.local.task
        header = None if request.trace is None else request.trace.header
        named = current() or RequestId({}, header)
        call = Call(task, image, request.deadline, named.text, header)
        found = await self._chain.ask(request.local, call)
        if found.over_link:
            self._metrics.sent_up(task.name, len(image))
        return found


def _chain_certified(request: Request, above: Chained, loss: Loss | None) -> bool:
    """Whether the threshold holds for the rungs that there were; unknown for damaged images."""
    if above.missing is None:
        return True
    if loss is not None:
        return False
    return request.local.other_chains.certifies(*above.missing, request.target)


def answer_of(outcome: Outcome, request_id: str) -> Answer:
    """An outcome as clients get it."""
    task, target, reason = outcome.local.task, outcome.target, outcome.reason
    certified = outcome.degraded is None and reason is None
    return Answer(
        request_id=request_id,
        task=task.name,
        prediction=task.kind.as_dict(outcome.prediction, outcome.top_k),
        served_by=outcome.served_by,
        rung=outcome.rung,
        escalated=outcome.over_link,
        degraded=outcome.degraded,
        accuracy=Promise(target.target, certified, target.threshold, reason),
        timing_ms={
            "decode": round(outcome.edge.decode_ms, 3),
            "infer": round(outcome.edge.infer_ms, 3),
            "escalate": round(outcome.escalate_ms, 3),
            "total": round(outcome.total_s * 1e3, 3),
        },
    )


def each(images: Sequence[bytes], request: Request) -> list[tuple[bytes, Request]]:
    """The images of one request, each with a trace of its own."""
    if request.trace is None or len(images) == 1:
        return [(image, request) for image in images]
    traces = [request.trace, *(request.trace.another() for _ in images[1:])]
    return [
        (image, request._replace(trace=trace)) for image, trace in zip(images, traces, strict=True)
    ]
