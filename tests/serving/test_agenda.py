"""An agenda answers as one would who went through all that waits."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from hawkvision.serving.agenda import Agenda
from hawkvision.serving.claims import Claim, Priority


@dataclass(eq=False)
class Work:
    """A claimant."""

    claim: Claim
    items: int
    deadline: float


works = st.builds(
    Work,
    st.builds(Claim, st.sampled_from("abc"), st.just(1.0), st.sampled_from(list(Priority))),
    st.integers(1, 4),
    st.integers(0, 5).map(float),
)


@given(
    st.lists(st.tuples(works, st.integers(0, 9))),
    st.sampled_from(list(Priority)),
    st.integers(0, 5).map(float),
)
def test_it_is_sorted_and_its_sums_are_those_of_what_is_in_it(
    steps: list[tuple[Work, int]], priority: Priority, deadline: float
) -> None:
    agenda, kept = Agenda[Work](), list[Work]()
    for work, taken in steps:
        agenda.add(work)
        kept.append(work)
        if taken < len(kept):
            agenda.remove(kept.pop(taken))
    order = [(one.claim.priority, one.deadline) for one in agenda.works]
    assert order == sorted(order) and set(map(id, agenda.works)) == set(map(id, kept))
    assert agenda.items == sum(one.items for one in kept)
    for client in "abc":
        own = sum(one.items for one in kept if one.claim.client == client)
        assert agenda.items_of(client) == own
    sooner = [one for one in kept if (one.claim.priority, one.deadline) <= (priority, deadline)]
    higher = [one for one in kept if one.claim.priority < priority]
    behind, first = agenda.behind(priority, deadline), agenda.first(priority)
    assert (behind, first) == (len(sooner), len(higher))
    assert agenda.before(behind) == sum(one.items for one in sooner)
    between = sum(one.items for one in sooner) - sum(one.items for one in higher)
    assert agenda.before(behind, first) == between
