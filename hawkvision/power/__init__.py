"""Power, energy and temperature of the machine: sensors in, joules out. Knows no images."""

from hawkvision.power.energy import Energy, NotMeasured, energy_line, per_image
from hawkvision.power.meter import PowerMeter
from hawkvision.power.probe import EnergyProbe
from hawkvision.power.reading import Rail, Reading
from hawkvision.power.sampler import PowerSampler, PowerState

__all__ = [
    "Energy",
    "EnergyProbe",
    "NotMeasured",
    "PowerMeter",
    "PowerSampler",
    "PowerState",
    "Rail",
    "Reading",
    "energy_line",
    "per_image",
]
