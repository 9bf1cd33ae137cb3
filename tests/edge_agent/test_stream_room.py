"""Room for streams: shares of addresses and apps, and who gives way to whom."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.streams.room import GIVES_WAY_S, StreamRoom, owner_of
from hawkvision.errors import LimitReached, Overloaded
from hawkvision.tracking.trust import vouched

NOW = 1000.0


@dataclass
class Stream:
    owner: str
    heard_s: float


ROOM = StreamRoom(most=6, per_peer=3, per_app=4)
OWNERS = ("10.0.0.1", "10.0.0.2", "10.0.0.3", vouched("gate"), vouched("belt"))


@given(st.lists(st.tuples(st.sampled_from(OWNERS), st.floats(0, 30)), max_size=60))
def test_no_share_is_ever_exceeded_and_no_app_gives_way(asked: list[tuple[str, float]]) -> None:
    streams: list[Stream] = []
    for owner, silent_s in asked:
        apps = [one for one in streams if one.owner.startswith("+")]
        try:
            gives_way = ROOM.check(owner, streams, NOW)
        except LimitReached:
            own = sum(one.owner == owner for one in streams)
            assert own == (4 if owner.startswith("+") else 3)
            continue
        except Overloaded:
            assert len(streams) == 6
            continue
        if gives_way is not None:
            streams.remove(gives_way)
            assert owner.startswith("+") or NOW - gives_way.heard_s > GIVES_WAY_S
        assert all(any(one is app for one in streams) for app in apps)
        streams.append(Stream(owner, NOW - silent_s))
        assert len(streams) <= 6


def test_the_longest_silent_gives_way_first() -> None:
    streams = [Stream(f"10.0.0.{index}", NOW - index) for index in range(6)]
    assert ROOM.check(vouched("gate"), streams, NOW) is streams[5]
    with pytest.raises(Overloaded):
        ROOM.check("10.0.1.1", streams, NOW)
    streams[2].heard_s = NOW - GIVES_WAY_S - 1
    assert ROOM.check("10.0.1.1", streams, NOW) is streams[2]


@pytest.mark.parametrize(
    ("counted", "peer", "owner"),
    [
        ("", "10.0.0.1", "10.0.0.1"),
        ("gate", "10.0.0.1", "10.0.0.1"),
        ("+gate", "10.0.0.1", "+gate"),
        ("", "::ffff:10.0.0.1", "10.0.0.1"),
        ("", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("", "fe80::1%eth0", "fe80::/64"),
        ("", "unix", "unix"),
    ],
)
def test_a_stream_is_an_app_s_or_an_address_s(counted: str, peer: str, owner: str) -> None:
    assert owner_of(counted, peer) == owner
