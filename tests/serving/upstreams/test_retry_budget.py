"""Retries are a share of calls, however many fail."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hawkvision.serving.upstreams.retry_budget import BudgetSettings, RetryBudget


@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 0.5)), max_size=300))
def test_never_more_than_its_share(steps: list[tuple[bool, float]]) -> None:
    settings = BudgetSettings(share=0.1, per_s=1.0, most=5.0)
    budget, now, calls, retries = RetryBudget(settings), 0.0, 0, 0
    for is_call, pause_s in steps:
        now += pause_s
        if is_call:
            budget.offered(now)
            calls += 1
        else:
            retries += budget.take(now)
    assert retries <= settings.most + settings.share * calls + settings.per_s * now + 1e-6


def test_it_is_full_at_first_and_fills_again() -> None:
    budget = RetryBudget(BudgetSettings(share=0.1, per_s=0.0, most=2.0))
    assert [budget.take(0.0) for _ in range(3)] == [True, True, False]
    for _ in range(11):
        budget.offered(0.0)
    assert [budget.take(0.0) for _ in range(2)] == [True, False]
