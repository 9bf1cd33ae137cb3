"""A loaded rung: an engine, how images are fitted to it, and how its outputs are read.

The one place where a model of a cascade is opened: the edge agent, the gateway, calibration and
`hawkvision models verify` all use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hawkvision.engines import Engine, open_engine
from hawkvision.errors import EngineError, HawkVisionError
from hawkvision.images import (
    DEFAULT_LIMITS,
    ImageLimits,
    InputGeometry,
    Placement,
    Weigh,
    fit,
    place,
    prepare,
)
from hawkvision.repository.references import RungReference
from hawkvision.repository.task import Kind, Rung
from hawkvision.tasks import Outputs

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Whether a rung answers its reference images as the certified engine did.

    `deviation` is None where there are no references: then the certificate is taken on trust.
    """

    deviation: float | None
    tolerance: float | None

    @property
    def agree(self) -> bool:
        """Whether the certificate holds for this engine on this machine."""
        if self.deviation is None or self.tolerance is None:
            return True
        return self.deviation <= self.tolerance

    def as_dict(self) -> dict[str, Any]:
        """For `/v1/tasks`."""
        return {"agree": self.agree, "deviation": self.deviation, "tolerance": self.tolerance}


class LoadedRung:
    """Encoded images or pixels in, predictions out. Usable from several threads at once."""

    def __init__(
        self,
        name: str,
        engine: Engine,
        geometry: InputGeometry,
        kind: Kind,
        head: Any,
        agreement: Agreement | None = None,
        asked: str = "",
    ) -> None:
        self.name = name
        self.engine = engine
        self.asked = asked
        self.geometry = geometry
        self.kind = kind
        self.head = head
        self.agreement = agreement or Agreement(None, None)
        self.min_side = max(geometry.width, geometry.height)

    @classmethod
    def open(
        cls,
        rung: Rung,
        kind: Kind,
        *,
        engine: str = "onnx",
        threads: int = 1,
        reference: RungReference | None = None,
    ) -> LoadedRung:
        """Check the file's digest, open it, and run it once, over the references if there are any.

        Raises RepositoryError or EngineError.
        """
        rung.check_digest()
        opened = open_engine(rung.model, name=engine, threads=threads)
        loaded = cls(rung.name, opened, rung.geometry, kind, rung.head, asked=engine)
        try:
            if reference is None:
                loaded.predict([loaded.grey()])
            else:
                answers = kind.encode(loaded.predict(list(reference.pixels)))
                loaded.agreement = Agreement(reference.deviation(answers), reference.tolerance)
        except HawkVisionError as error:
            opened.close()
            raise EngineError(f"rung {rung.name!r}: {error.message}", hint=error.hint) from error
        return loaded

    def running(self) -> dict[str, str]:
        """By what it is computed: the engine that was `asked` for, and what that gave and why."""
        found = self.engine.metadata
        return {
            "asked": self.asked,
            "device": found.device,
            "precision": found.precision,
            "platform": found.platform,
            "version": found.version,
            "reason": found.reason,
        }

    def __str__(self) -> str:
        """One line for the log."""
        found = self.engine.metadata
        why = f": {found.reason}" if found.reason else ""
        runtime = f"{found.platform} {found.version}".strip()
        return (
            f"rung {self.name}: engine {self.asked} asked, {found.device} given "
            f"({runtime}, {found.precision}){why}"
        )

    def grey(self) -> Pixels:
        """An image that shows nothing, of the network's size."""
        return np.full((self.geometry.height, self.geometry.width, 3), 128, np.uint8)

    def prepare(
        self, image: bytes, limits: ImageLimits = DEFAULT_LIMITS, weigh: Weigh | None = None
    ) -> Pixels:
        """An encoded image as the network takes it, uint8 [H,W,3].

        `weigh` is told how many pixels will be gone through. Raises the image errors.
        """
        return prepare(image, self.geometry, limits, weigh)

    def fit(self, image: Pixels) -> Pixels:
        """A decoded image, uint8 RGB of any size, as the network takes it."""
        return fit(image, self.geometry)

    def place(self, image: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> tuple[Pixels, Placement]:
        """As `prepare`, and where the network's pixels lie in the image that was sent."""
        return place(image, self.geometry, limits)

    def outputs(self, batch: Sequence[Pixels]) -> Outputs:
        """The network's raw outputs for prepared images. Raises EngineError."""
        stacked = batch[0][None] if len(batch) == 1 else np.stack(batch)
        return self.engine.infer(stacked.transpose(0, 3, 1, 2))

    def predict(self, batch: Sequence[Pixels], placements: Sequence[Placement] = ()) -> list[Any]:
        """What the rung says of each prepared image. Raises EngineError.

        With `placements`, one for each, positions come back in px of the images that were sent.
        """
        return self.kind.read(self.outputs(batch), self.head, placements)

    def close(self) -> None:
        """Free the network."""
        self.engine.close()
