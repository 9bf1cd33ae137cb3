"""What holds for every test."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Or gRPC's handlers abort one child in ten that a test forks beside its threads.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

# How long an example takes says how busy the machine is.
settings.register_profile("suite", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
