"""What holds for every test."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Or gRPC's handlers abort one child in ten that a test forks beside its threads.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

# How long an example takes says how busy the machine is. The suite's examples are the same every
# time: new ones are looked for on purpose, with `pytest --hypothesis-profile explore`.
settings.register_profile(
    "suite", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "explore", settings.get_profile("suite"), derandomize=False, max_examples=1000
)
settings.load_profile("suite")
