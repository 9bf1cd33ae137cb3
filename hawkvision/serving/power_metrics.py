"""Power, energy and temperature for Prometheus, read from the last sample when they are scraped."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hawkvision.power import PowerSampler


class PowerCollector(Collector):
    """The families of one sampler; one without values is left out, never shown as zero."""

    def __init__(self, sampler: PowerSampler) -> None:
        self._sampler = sampler

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        state = self._sampler.state
        power = GaugeMetricFamily(
            "hawkvision_power_watts",
            "Power of the machine, idle included; sources add up.",
            labels=["source"],
        )
        energy = CounterMetricFamily(
            "hawkvision_energy_joules",
            "Energy of the machine since this process started; sources add up.",
            labels=["source"],
        )
        rails = GaugeMetricFamily(
            "hawkvision_rail_power_watts",
            "Power by rail; those not counted are parts of others, or overlap them.",
            labels=["source", "rail", "counted"],
        )
        temperature = GaugeMetricFamily(
            "hawkvision_temperature_celsius", "Temperature by sensor.", labels=["sensor"]
        )
        for source, watts in sorted(state.watts.items()):
            power.add_metric([source], watts)
        for source, joules in sorted(state.joules.items()):
            energy.add_metric([source], joules)
        for rail in state.rails:
            if rail.watts is not None:
                counted = "true" if rail.counted else "false"
                rails.add_metric([rail.source, rail.name, counted], rail.watts)
        for sensor, celsius in state.celsius.items():
            temperature.add_metric([sensor], celsius)
        yield from (family for family in (power, energy, rails, temperature) if family.samples)
