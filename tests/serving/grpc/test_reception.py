"""Who may send its message: places, patience, what has been earned, what one client may take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.errors import Overloaded
from hawkvision.serving.grpc.peers import parse_peer
from hawkvision.serving.grpc.reception import Arrival, Reception
from hawkvision.serving.peers import Peer
from hawkvision.serving.quota import Quota

PATIENCE = 0.25


def peer(name: str, address: str | None = None) -> Peer:
    return Peer(name, address or name)


def proven(reception: Reception, name: str) -> None:
    reception.received(reception.arrive(peer(name), 0.0))


def reading(arrivals: list[Arrival]) -> list[bool]:
    return [one.reading for one in arrivals]


def test_new_connections_take_half_of_the_places_and_proven_ones_find_one_at_once() -> None:
    reception = Reception(100, 4, PATIENCE)
    proven(reception, "edge")
    silent = [reception.arrive(peer(f"new{number}"), 0.0) for number in range(10)]
    assert reading(silent) == [True] * 2 + [False] * 8
    edge = reception.arrive(peer("edge"), 0.0)
    turn = reception.turn(0.0)
    assert (turn.start, turn.refuse, edge.reading) == ([edge], [], True)


def test_a_message_that_does_not_come_gives_its_place_to_the_newest() -> None:
    reception = Reception(100, 2, PATIENCE)
    first, old, new = (reception.arrive(peer(name), 0.0) for name in "abc")
    assert not reception.turn(PATIENCE / 2).start
    assert reception.next_turn() == PATIENCE
    turn = reception.turn(PATIENCE)
    assert (turn.refuse, turn.start) == ([first], [new])
    assert not old.reading


def test_whoever_has_fewest_goes_first() -> None:
    reception = Reception(100, 4, PATIENCE)
    proven(reception, "greedy")
    proven(reception, "modest")
    held = [reception.arrive(peer("greedy"), 0.0) for _ in range(4)]
    modest = reception.arrive(peer("modest"), 0.0)
    reception.arrive(peer("greedy"), 0.0)
    reception.received(held[0])
    assert reception.turn(0.0).start == [modest]


def test_too_many_calls_cost_the_oldest_of_the_greediest() -> None:
    reception = Reception(4, 2, PATIENCE)
    greedy = [reception.arrive(peer("greedy"), 0.0) for _ in range(4)]
    modest = reception.arrive(peer("modest"), 0.0)
    assert reception.turn(0.0).refuse == [greedy[0]]
    assert modest.reading or reception.turn(PATIENCE).start == [modest]


def test_connections_of_one_address_count_together() -> None:
    reception = Reception(4, 2, PATIENCE)
    crowd = [reception.arrive(peer(f"c{number}", "crowd"), 0.0) for number in range(3)]
    reception.arrive(peer("one"), 0.0)
    reception.arrive(peer("two"), 0.0)
    assert reception.turn(0.0).refuse == [crowd[0]]


def test_a_connection_that_stops_delivering_is_new_again() -> None:
    reception = Reception(100, 4, PATIENCE)
    proven(reception, "edge")
    reception.failed(reception.arrive(peer("edge"), 0.0))
    assert (
        reading([reception.arrive(peer("edge"), 0.0) for _ in range(4)]) == [True] * 2 + [False] * 2
    )


@given(
    st.lists(
        st.tuples(st.sampled_from(["arrive", "receive", "fail", "go", "wait"]), st.integers(0, 5)),
        max_size=60,
    ),
    st.integers(1, 6),
    st.integers(1, 4),
)
def test_bounds_hold_and_nobody_waits_for_a_free_place(
    events: list[tuple[str, int]], max_calls: int, places: int
) -> None:
    reception = Reception(max_calls, places, PATIENCE)
    here: list[Arrival] = []
    now = 0.0
    for what, which in events:
        if what == "arrive":
            here.append(reception.arrive(peer(f"p{which}"), now))
        elif what == "wait":
            now += which * 0.1
        elif here:
            one = here.pop(which % len(here))
            end = {"receive": reception.received, "fail": reception.failed, "go": reception.gone}
            end[what](one)
        turn = reception.turn(now)
        here = [one for one in here if one not in turn.refuse]
        assert reception.calls == len(here) <= max_calls
        assert sum(reading(here)) <= places
        assert all(one.reading for one in turn.start if one in here)
        if not all(reading(here)):
            assert sum(reading(here)) >= max(1, places // 2)
            due = reception.next_turn()
            assert due is None or due > now
    for one in here:
        reception.gone(one)
    assert reception.calls == 0
    assert reception.arrive(peer("last"), now).reading


def test_one_client_leaves_a_share_to_others() -> None:
    quota = Quota("images", 8, 0.75)
    greedy, modest = peer("greedy"), peer("modest")
    with quota.take(greedy, 6), quota.take(modest, 1):
        with pytest.raises(Overloaded, match="of this client"), quota.take(greedy, 1):
            pass
        with pytest.raises(Overloaded, match="8 fit"), quota.take(modest, 2):
            pass
        with quota.take(modest, 1):
            assert quota.held == 8
    with quota.take(greedy, 8):  # alone, the largest request is served
        pass
    assert quota.held == 0


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ipv4:192.0.2.7:4242", "192.0.2.7"),
        ("ipv6:%5B2001:db8:1:2:3::4%5D:4242", "2001:db8:1:2::/64"),
        ("ipv6:[2001:db8:1:2::9]:1", "2001:db8:1:2::/64"),
        ("ipv6:[::ffff:192.0.2.7]:1", "192.0.2.7"),
        ("ipv6:[fe80::1%25eth0]:1", "fe80::/64"),
        ("ipv4:127.0.0.1:4242", "ipv4:127.0.0.1:4242"),
        ("ipv6:[::1]:4242", "ipv6:[::1]:4242"),
        ("unix:", "unix:"),
        ("ipv4:what:ever", "what"),
    ],
)
def test_a_peer_s_address_groups_its_connections_but_not_those_of_a_local_proxy(
    text: str, address: str
) -> None:
    assert parse_peer(text) == Peer(text, address)
