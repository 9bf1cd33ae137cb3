"""A task's data-center rungs that are computed somewhere else, in place of a `LargeModel`'s own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dc_gateway.model import Asked, LargeModel, of_image, say_disagreement
from dc_gateway.upstreams.base import RungName, RungUpstream, Shipped
from hawkvision.engines.base import Batch, EngineMetadata
from hawkvision.errors import EngineError, HawkVisionError, InvalidRequest
from hawkvision.images import ImageLimits
from hawkvision.images.decode import open_source
from hawkvision.repository import Task
from hawkvision.rungs import Agreement, LoadedRung
from hawkvision.serving.job import Ticket
from hawkvision.serving.pool import QUICK_PIXELS
from hawkvision.tasks import Outputs

Told = Sequence[Mapping[str, Any]]
"""What whoever computes rungs says of them: `task`, `rung`, `asked`, `metadata`, `agreement`."""


class _Elsewhere:
    """Stands for an engine that runs in another process; only its description is here."""

    def __init__(self, metadata: EngineMetadata) -> None:
        self.metadata = metadata

    def infer(self, batch: Batch) -> Outputs:
        raise EngineError("this rung is computed elsewhere, from encoded images")

    def close(self) -> None:
        """Nothing is here."""


class RemoteRung(LoadedRung):
    """A rung that `upstream` computes, decoding included."""

    def __init__(self, task: Task, name: str, told: Mapping[str, Any], upstream: RungUpstream):
        rung = next(rung for rung in task.rungs if rung.name == name)
        metadata = dict(told["metadata"])
        metadata["input_shape"] = tuple(metadata["input_shape"])
        engine = _Elsewhere(EngineMetadata(**metadata))
        agreement = Agreement(**told["agreement"])
        super().__init__(
            name, engine, rung.geometry, task.kind, rung.head, agreement, str(told["asked"])
        )
        self._names = RungName(task.name, name)
        self._upstream = upstream

    def predict(self, batch: Sequence[Any], placements: Sequence[Any] = ()) -> list[Any]:
        """For each `Shipped` a prediction, or the error that it has instead."""
        return self._upstream.compute(self._names, self.kind, batch)


class RemoteModel(LargeModel):
    """As a `LargeModel`; images stay encoded here, and only their headers are read."""

    def __init__(
        self, task: Task, told: Told, upstream: RungUpstream, limits: ImageLimits, first: int = 1
    ) -> None:
        by_name = {one["rung"]: one for one in told if one["task"] == task.name}
        first = min(first, len(task.rungs) - 1)
        held = task.rungs[first:]
        rungs = [RemoteRung(task, one.name, by_name[one.name], upstream) for one in held]
        for rung in rungs:
            say_disagreement(task, rung)
        super().__init__(task, rungs, limits, first)
        self.upstream = upstream
        upstream.used_by(self)

    def prepare(self, rung: int, asked: Asked, ticket: Ticket) -> list[Any]:
        """See `LargeModel.prepare`."""
        pixels = 0
        for index in asked.open:
            ticket.check()
            try:
                source = open_source(asked.images[index], self._limits)
            except InvalidRequest as error:
                if len(asked.images) == 1:
                    raise
                raise of_image(error, index, len(asked.images)) from error
            ticket.weigh(source.work)
            pixels += source.work
        large = pixels > QUICK_PIXELS
        return [Shipped(asked.images[index], ticket.deadline, large) for index in asked.open]

    def take_in(self, rung: int, asked: Asked, answers: Sequence[Any]) -> bool:
        """See `LargeModel.take_in`. Raises the first error among the answers."""
        fault = next(
            (
                of_image(answer, index, len(asked.images))
                for index, answer in zip(asked.open, answers, strict=True)
                if isinstance(answer, HawkVisionError)
            ),
            None,
        )
        if fault is None:
            return super().take_in(rung, asked, answers)
        try:
            raise fault
        finally:
            del fault, answers  # or it and this frame would keep each other, and the images
