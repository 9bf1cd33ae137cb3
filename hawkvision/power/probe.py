"""Energy of this machine over parts of a program: what benchmarks write down."""

from __future__ import annotations

from typing import Self

from hawkvision.power.energy import Energy, NotMeasured
from hawkvision.power.sampler import PowerSampler


class EnergyProbe:
    """`with probe: …`, as often as wanted, then `per_image(probe.found, images, right)`.

    The whole draw of this machine meanwhile, idle included, whoever caused it. Parts must be
    longer than a sensor takes to renew its figure: a millisecond with RAPL, about 0.1 s with NVML.
    """

    def __init__(self, sampler: PowerSampler | None = None) -> None:
        self._sampler = sampler or PowerSampler.of_machine()
        self._begun: Energy | NotMeasured = NotMeasured("nothing ran")
        self._parts: list[Energy | NotMeasured] = []

    def __enter__(self) -> Self:
        self._sampler.start()
        self._begun = self._sampler.sample().total
        return self

    def __exit__(self, *_: object) -> None:
        ended, begun = self._sampler.sample().total, self._begun
        if isinstance(ended, Energy) and isinstance(begun, Energy):
            self._parts.append(ended.since(begun))
        else:
            self._parts.append(ended if isinstance(ended, NotMeasured) else begun)

    @property
    def found(self) -> Energy | NotMeasured:
        """All parts together; the first reason where one of them was not measured."""
        measured = []
        for part in self._parts:
            if isinstance(part, NotMeasured):
                return part
            measured.append(part)
        if not measured:
            return NotMeasured("nothing ran")
        total = measured[0]
        for part in measured[1:]:
            total += part
        return total

    def close(self) -> None:
        """Sample no more."""
        self._sampler.close()
