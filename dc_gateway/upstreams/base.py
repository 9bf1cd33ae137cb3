"""Somebody else who computes answers, as the gateway sees it: a rung's, or a whole task's."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.serving.grpc.entrance import Call


@dataclass(frozen=True, slots=True)
class Shipped:
    """An encoded image whose header was read: when its answer is due (`time.monotonic`).

    `large`: its call decodes so much that it had better not hold up others.
    """

    image: bytes
    deadline: float
    large: bool = False


@dataclass(frozen=True, slots=True)
class RungName:
    """Which rung: the task, and the rung's own name."""

    task: str
    rung: str


class RungUpstream(Protocol):
    """Computes rungs of loaded tasks somewhere else. Usable from several threads at once."""

    def compute(self, rung: RungName, kind: Any, images: Sequence[Shipped]) -> list[Any]:
        """For each image a prediction of the task's kind, or the error that it has instead.

        Blocks until then, and not for ever. Raises EngineError, DeadlineExceeded and
        UpstreamUnavailable for all of them.
        """
        ...

    def used_by(self, model: object) -> None:
        """It is to be closed when no model that uses it is there any more."""
        ...

    def close(self) -> None:
        """Give back what it holds; calls under way fail. The second time nothing happens."""
        ...


class Shared(ABC):
    """Closes itself with the last model that uses it."""

    _users = 0

    def used_by(self, model: object) -> None:
        """See `RungUpstream.used_by`."""
        self._users += 1
        weakref.finalize(model, self._left).atexit = False

    def _left(self) -> None:
        self._users -= 1
        if not self._users:
            self.close()

    @abstractmethod
    def close(self) -> None:
        """See `RungUpstream.close`."""


class TaskUpstream(Protocol):
    """Answers whole calls for tasks that are not loaded here. Of one event loop.

    Its methods raise what the client is to be told.
    """

    @property
    def ready(self) -> bool:
        """Whether it could be asked now, as far as is known."""
        ...

    async def infer(
        self, request: messages.ModelInferRequest, call: Call
    ) -> messages.ModelInferResponse:
        """The request may be changed."""
        ...

    async def metadata(
        self, request: messages.ModelMetadataRequest, call: Call
    ) -> messages.ModelMetadataResponse:
        """Of a model."""
        ...

    async def model_ready(
        self, request: messages.ModelReadyRequest, call: Call
    ) -> messages.ModelReadyResponse:
        """Whether a model serves."""
        ...

    async def config(
        self, request: messages.ModelConfigRequest, call: Call
    ) -> messages.ModelConfigResponse:
        """Of a model."""
        ...

    async def statistics(
        self, request: messages.ModelStatisticsRequest, call: Call
    ) -> messages.ModelStatisticsResponse:
        """Of a model, as one server counted it."""
        ...
