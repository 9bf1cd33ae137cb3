"""`/v1/classify`: images and an accuracy target in, answers out."""

from __future__ import annotations

import asyncio
import time

from aiohttp import web

from edge_agent.classify import Classifier, Request, each
from edge_agent.http.auth import counted_as
from edge_agent.metrics import AgentMetrics
from edge_agent.parameters import ClassifyParameters, parse_query
from hawkvision.contract.answer import Answer
from hawkvision.contract.errors import error_body
from hawkvision.contract.results import Result, results_body
from hawkvision.errors import HawkVisionError
from hawkvision.json_schema import Either, Like, Listed
from hawkvision.serving.access.guard import current_caller
from hawkvision.serving.access.scopes import Scope
from hawkvision.serving.http.bodies import BodyReader
from hawkvision.serving.http.replies import json_reply
from hawkvision.serving.http.routes import Route
from hawkvision.serving.http.shapes import BYTES, JSON, OCTETS, Shape, query_of

_FAILED = HawkVisionError("words", hint="what to do")
"""What stands in the place of an image that has no answer, for the description."""


class ClassifyRoutes:
    """The hot path over HTTP."""

    def __init__(self, classifier: Classifier, bodies: BodyReader, metrics: AgentMetrics) -> None:
        self._classifier = classifier
        self._bodies = bodies
        self._metrics = metrics

    def table(self) -> list[Route]:
        """The routes."""
        results = Listed("results", Either((Answer, Like("Failed", (error_body(_FAILED),)))))
        shape = Shape(
            {JSON: Either((Answer, results))},
            takes={OCTETS: BYTES, "image/*": BYTES, "multipart/form-data": BYTES},
            query=query_of(ClassifyParameters),
        )
        return [Route("POST", "/v1/classify", self.classify, Scope.CLASSIFY, shape)]

    async def classify(self, request: web.Request) -> web.Response:
        """`POST /v1/classify`: raw image bytes, or multipart with one or many."""
        arrived = time.monotonic()
        trace = self._classifier.trace(request.headers.get("traceparent"), arrived)
        asked = parse_query(request.rel_url.raw_query_string)
        counted = counted_as(current_caller(), asked.app)
        resolved = self._classifier.resolve(asked, arrived, trace, counted)
        with self._bodies.claim() as claim:
            images = await self._bodies.images(request, claim)
            if len(images) == 1:
                answer = await self._classifier.classify(images[0], resolved)
                return json_reply(answer.as_dict())
            return json_reply(results_body(await self._many(images, resolved)))

    async def _many(self, images: list[bytes], resolved: Request) -> list[Result]:
        self._classifier.pool.check_room(len(images), resolved.deadline)
        answers = await asyncio.gather(
            *(self._classifier.classify(*one) for one in each(images, resolved)),
            return_exceptions=True,
        )
        results: list[Result] = []
        for answer in answers:
            if isinstance(answer, HawkVisionError):
                self._metrics.refused(answer.code)
                results.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                results.append(answer)
        return results
