"""The order that splits are cut from: fixed for ever, and blind to what images show."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hawkvision.datasets import order

members = st.lists(
    st.tuples(st.text(min_size=1, max_size=20), st.sampled_from(["cat", "dog"])), unique=True
)


@given(members, st.randoms())
def test_it_does_not_depend_on_how_files_are_listed(
    found: list[order.Member], random: object
) -> None:
    shuffled = sorted(found, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert [order.name_hash(name) for name, _ in order.by_name(shuffled)] == [
        order.name_hash(name) for name, _ in order.by_name(found)
    ]
    assert order.by_name_and_label(shuffled) == order.by_name_and_label(found) or len(
        {(name.rpartition("/")[2], label) for name, label in found}
    ) < len(found)


@given(members)
def test_two_thirds_and_one_third_share_nothing(found: list[order.Member]) -> None:
    calibrating, reporting = order.thirds(found)
    assert sorted(calibrating + reporting) == sorted(found)
    assert len(calibrating) == 2 * len(found) // 3


def test_the_order_of_published_splits_stays() -> None:
    names = [f"val/cat/{index:02d}.jpg" for index in range(6)]
    ranked = order.by_name([(name, "cat") for name in names])
    assert " ".join(name[-6:-4] for name, _ in ranked) == "05 00 03 02 04 01"
