"""Samples become parts of a request, and a flame graph."""

from __future__ import annotations

from collections import Counter

from loadtest.bench.profile import BARE_PARTS, PARTS, by_part, part_of, speedscope

_POOL = ("hawkvision/serving/pool.py:_turn", "hawkvision/serving/job.py:run")
_DECODE = (*_POOL, "hawkvision/rungs.py:prepare", "hawkvision/images/jpeg.py:_decode")
_FIT = (*_POOL, "hawkvision/rungs.py:prepare", "hawkvision/images/geometry.py:fit")


def test_a_sample_counts_for_what_it_is_within() -> None:
    assert part_of(_POOL) == "pool"
    assert part_of(_DECODE) == "decode"
    assert part_of(_FIT).startswith("fit")
    assert part_of(("runners.py:run",)) not in [name for name, _ in PARTS]


def test_shares_add_up_to_one() -> None:
    shares = by_part(Counter({_POOL: 1, _DECODE: 3, _FIT: 4}))
    assert sum(shares.values()) == 1
    assert shares["decode"] == 3 / 8


def test_parts_of_the_bare_loop_have_the_names_of_the_agent_s() -> None:
    best = ("loadtest/bench/profile.py:no_server", "loadtest/peers/work.py:best")
    pixels = (*best, "loadtest/peers/work.py:pixels")
    fit = (*pixels, "hawkvision/images/geometry.py:fit")
    decode = (*pixels, "hawkvision/images/decode.py:decode")
    shares = by_part(Counter({best: 4, pixels: 1, decode: 1, fit: 2}), BARE_PARTS)
    assert (shares["network (ONNX Runtime)"], shares["decode"]) == (1 / 2, 1 / 4)
    assert {name for name, _ in BARE_PARTS} <= {name for name, _ in PARTS}
    assert sum(shares.values()) == 1


def test_a_flame_graph_has_every_sample_with_its_weight() -> None:
    graph = speedscope(Counter({_DECODE: 3, _POOL: 1}), "some")
    profile = graph["profiles"][0]
    names = [frame["name"] for frame in graph["shared"]["frames"]]
    stacks = [tuple(names[index] for index in sample) for sample in profile["samples"]]
    assert dict(zip(stacks, profile["weights"], strict=True)) == {_DECODE: 3, _POOL: 1}
    assert profile["endValue"] == 4
