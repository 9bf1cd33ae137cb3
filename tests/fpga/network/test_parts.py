"""The walk through a network: every part once, each where the data passes it."""

from __future__ import annotations

import numpy as np

from fpga.network.parts import ConvPart
from tests.fpga.networks import images, random_network

NETWORK = random_network(8, (4, 8), 1, seed=1)
PLAIN, NARROWING = "stage0.block0", "stage1.block0"


def test_every_part_comes_once_in_the_order_of_the_data() -> None:
    assert [part.name for part in NETWORK.parts()] == [
        "stem",
        *("entry0", f"{PLAIN}.first", f"{PLAIN}.second", "fifo0", "add0"),
        *("entry1", f"{NARROWING}.first", f"{NARROWING}.skip", f"{NARROWING}.second"),
        *("fifo1", "add1", "head"),
    ]


def test_the_convolutions_are_those_of_the_parts_with_the_way_around_first() -> None:
    found = NETWORK.convolutions()
    walked = [part for part in NETWORK.parts() if isinstance(part, ConvPart)]
    assert sorted(part.name for part in found) == sorted(part.name for part in walked)
    names = [part.name for part in found]
    assert names.index(f"{NARROWING}.skip") < names.index(f"{NARROWING}.first")


def test_parts_know_the_sides_of_what_enters_them() -> None:
    streams = NETWORK.streams(images(1, 8, np.random.default_rng(1)))
    stages = list(NETWORK.stages())
    assert NETWORK.stem_part.side == 8
    assert [stage.side for stage in stages] == [stream.shape[1] for stream in streams[:-1]]
    assert [stage.out_side for stage in stages] == [stream.shape[1] for stream in streams[1:]]
    assert stages[1].second.side == stages[1].out_side == 4
    assert NETWORK.head_part.side == streams[-1].shape[1]


def test_what_goes_around_a_block_is_the_stream_or_a_signed_convolution() -> None:
    plain, narrowing = NETWORK.stages()
    assert plain.skip is None and (plain.fifo.bits, plain.sum.skip_signed) == (8, False)
    assert narrowing.skip is not None
    assert (narrowing.fifo.bits, narrowing.sum.skip_signed) == (9, True)
