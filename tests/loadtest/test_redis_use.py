"""What a Redis says of itself, as differences."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest.bench.fleet.redis_use import RedisUse


def _info(factor: int) -> dict[str, Any]:
    return {
        "cmdstat_get": {"calls": 10 * factor, "usec": 20 * factor},
        "cmdstat_info": {"calls": factor, "usec": factor},
        "total_net_input_bytes": 1000 * factor,
        "total_net_output_bytes": 500 * factor,
        "used_cpu_user": 0.5 * factor,
        "used_cpu_sys": 0.25 * factor,
    }


def test_only_what_happened_in_between_counts_and_not_our_looking() -> None:
    used = RedisUse.parse(_info(3)).since(RedisUse.parse(_info(1)))
    found = used.as_dict(2.0)
    assert found["commands_per_s"] == {"get": 10.0}
    assert found["usec_per_command"] == {"get": 2.0}
    assert found["bytes_in_per_s"] == 1000.0
    assert found["cpu"] == pytest.approx(0.75)


def test_a_store_that_is_no_redis_says_nothing() -> None:
    assert RedisUse.read("memory") is None
