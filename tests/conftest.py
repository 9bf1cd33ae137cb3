"""What holds for every test."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.failures import FailuresAtOnce

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


def pytest_sessionstart(session: pytest.Session) -> None:
    """Where the reports are collected, failures are told as they come."""
    config = session.config
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(FailuresAtOnce(terminal), "failures-at-once")
