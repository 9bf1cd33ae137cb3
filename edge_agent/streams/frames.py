"""One frame of a lossy stream to an answer: rebuild, conceal, classify, escalate if in doubt."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edge_agent.classify import Classifier, Loss, Request
from edge_agent.local import LocalAnswer, LocalTask
from hawkvision.cascade import Accuracy, AccuracyTarget, CascadePolicy
from hawkvision.cascade.loss import LossDecision
from hawkvision.contract.answer import Answer
from hawkvision.contract.stream import FrameInfo, FrameResult
from hawkvision.images import ImageLimits
from hawkvision.lossy.assembler import Frame
from hawkvision.lossy.jpeg.pixels import Pixels, concealed_jpeg, decode_frame
from hawkvision.lossy.jpeg.rebuild import Rebuilt, rebuild
from hawkvision.serving.job import Ticket

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """What a stream asks for each of its frames."""

    request: Request
    accuracy: Accuracy
    deadline_s: float
    may_resend: bool
    keep_previous: bool

    def of_version(self, local: LocalTask) -> FrameRequest:
        """The same of another version of the task. Raises TargetUnreachable."""
        target = local.policy.resolve(self.accuracy)
        return replace(self, request=self.request._replace(local=local, target=target))


@dataclass(frozen=True, slots=True)
class Seen:
    """What the edge makes of a frame."""

    answer: LocalAnswer
    rebuilt: Rebuilt
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class FrameAnswer:
    """The result as clients get it, and what the next frame may use."""

    result: FrameResult
    seen: Seen


def look(local: LocalTask, frame: Frame, previous: Image | None, ticket: Ticket) -> Seen:
    """Rebuild, decode, conceal and infer; runs on a worker thread.

    Raises the image errors, or DeadlineExceeded.
    """
    start = time.monotonic()
    ticket.weigh(frame.layout.width * frame.layout.height)
    rebuilt = rebuild(frame)
    pixels = decode_frame(rebuilt, local.limits, min_side=local.rung.min_side, previous=previous)
    decoded = time.monotonic()
    prediction = local.predict(pixels.image)
    done = time.monotonic()
    answer = LocalAnswer(prediction, (decoded - start) * 1e3, (done - decoded) * 1e3)
    return Seen(answer, rebuilt, pixels)


def whole_jpeg(rebuilt: Rebuilt, limits: ImageLimits, ticket: Ticket) -> bytes:
    """What the data center gets of a damaged frame; runs on a worker thread."""
    ticket.weigh(rebuilt.layout.width * rebuilt.layout.height)
    return concealed_jpeg(rebuilt, limits)


class FrameClassifier:
    """Confidence scaling for frames: the threshold follows from what was lost."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    async def answer(
        self, frame: Frame, wanted: FrameRequest, previous: Image | None
    ) -> FrameAnswer:
        """Raises the image errors, Overloaded, and EngineError."""
        classifier, local = self._classifier, wanted.request.local
        deadline = frame.first_s + wanted.deadline_s
        seen = await classifier.pool.submit(
            lambda job, ticket: look(local, *job, ticket), (frame, previous), deadline=deadline
        )
        request = wanted.request._replace(arrived=frame.first_s, deadline=deadline)
        whole = seen.pixels.lost is None and seen.rebuilt.tables_known and not seen.pixels.garbled
        if whole:
            target = self._in_force(request, request.target)
            answer = await self._cascade(request._replace(target=target), seen, None)
            resend = False
        else:
            decision = self._decide(wanted, seen)
            answer, resend = await self._damaged(request, seen, decision)
        return FrameAnswer(FrameResult(describe(frame, seen), answer, resend), seen)

    def _decide(self, wanted: FrameRequest, seen: Seen) -> LossDecision:
        lost = seen.pixels.lost_fraction
        if seen.pixels.garbled or not seen.rebuilt.tables_known:
            lost = 1.0
        return wanted.request.local.loss_policy.decide(
            wanted.accuracy, lost, may_resend=wanted.may_resend
        )

    async def _damaged(
        self, request: Request, seen: Seen, decision: LossDecision
    ) -> tuple[Answer, bool]:
        """The answer for a damaged frame, and whether its image should be sent again."""
        steered = self._in_force(request, request.target)
        threshold = decision.target.threshold
        if steered.threshold > request.target.threshold:
            threshold = max(threshold, steered.threshold)
        target = replace(decision.target, threshold=threshold)
        request = request._replace(target=target)
        level = 1.0 if decision.level is None else decision.level
        local = CascadePolicy.answers_locally(seen.answer.prediction, target)
        if not decision.resend or (local and decision.certified):
            loss = Loss(level, decision.certified)
            return await self._cascade(request, seen, loss), False
        # Until the intact image comes, this is the best answer there is; it is not certified.
        return self._classifier.reply(request, None, seen.answer, loss=Loss(level, False)), True

    async def _cascade(self, request: Request, seen: Seen, loss: Loss | None) -> Answer:
        classifier = self._classifier
        image = seen.rebuilt.jpeg if loss is None else None
        if CascadePolicy.answers_locally(seen.answer.prediction, request.target):
            return classifier.reply(request, image, seen.answer, loss=loss)
        start = time.monotonic()
        if image is None:
            limits = request.local.limits
            sent = await classifier.pool.submit(
                lambda rebuilt, ticket: whole_jpeg(rebuilt, limits, ticket), seen.rebuilt
            )
        else:
            sent = image
        upper = await classifier.escalate(sent, request)
        spent_ms = (time.monotonic() - start) * 1e3
        return classifier.reply(request, image, seen.answer, upper, spent_ms, loss)

    def _in_force(self, request: Request, target: AccuracyTarget) -> AccuracyTarget:
        """The threshold that the fleet's leader has set meanwhile."""
        tracking = self._classifier.tracking
        return tracking.in_force(request.local.counted, target, request.app)


def describe(frame: Frame, seen: Seen | None) -> FrameInfo:
    """A frame as its result tells of it; nothing of it was seen where it did not decode."""
    lost = 1.0 if seen is None else seen.pixels.lost_fraction
    return FrameInfo(
        timestamp=frame.timestamp,
        complete=frame.complete,
        lost_fraction=round(lost, 4),
        packets=len(frame.fragments),
        assembly_ms=round((frame.last_s - frame.first_s) * 1e3, 3),
    )
