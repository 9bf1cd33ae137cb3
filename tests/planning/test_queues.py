"""Queues against closed forms, and the laws that they obey."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hawkvision.planning.queues import serve, serve_rounds

Floats = npt.NDArray[np.float64]
_JOBS = 400_000


def _poisson(rate: float, rng: np.random.Generator) -> Floats:
    return np.cumsum(rng.exponential(1 / rate, _JOBS))


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_mean_wait_of_m_m_1(load: float) -> None:
    rng = np.random.default_rng(1)
    found = serve(_poisson(load, rng), rng.exponential(1.0, _JOBS))
    assert found.wait.mean() == pytest.approx(load / (1 - load), rel=0.05)
    # Of those that wait the times are exponential: P(W > t) = load * exp(-(1 - load) t).
    tail = -math.log(0.01 / load) / (1 - load)
    assert np.quantile(found.wait, 0.99) == pytest.approx(tail, rel=0.08)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_mean_wait_of_m_d_1(load: float) -> None:
    rng = np.random.default_rng(2)
    found = serve(_poisson(load, rng), np.ones(_JOBS))
    assert found.wait.mean() == pytest.approx(load / (2 * (1 - load)), rel=0.04)


@pytest.mark.parametrize(("servers", "load"), [(2, 0.7), (4, 0.8)])
def test_mean_wait_of_m_m_c(servers: int, load: float) -> None:
    rng = np.random.default_rng(3)
    found = serve(_poisson(load * servers, rng), rng.exponential(1.0, _JOBS), servers)
    offered = load * servers
    last = offered**servers / math.factorial(servers) / (1 - load)
    erlang_c = last / (sum(offered**k / math.factorial(k) for k in range(servers)) + last)
    assert found.wait.mean() == pytest.approx(erlang_c / (servers * (1 - load)), rel=0.05)


def test_mean_busy_period_with_exceptional_first_service() -> None:
    """Welch (1964): of Poisson arrivals, those that find nobody are
    (1 - load) / (1 - load + load_first), load by what follows, load_first by what comes first."""
    rng = np.random.default_rng(4)
    rate, first, warm = 0.5, 1.5, 0.6
    found = serve(_poisson(rate, rng), np.full(_JOBS, first), warm=np.full(_JOBS, warm))
    load, load_first = rate * first * warm, rate * first
    alone = (1 - load) / (1 - load + load_first)
    assert float((found.wait == 0).mean()) == pytest.approx(alone, rel=0.01)
    assert found.busy.mean() == pytest.approx(first * (alone + (1 - alone) * warm), rel=0.01)


def test_a_small_case_by_hand() -> None:
    arrivals, busy = np.array([0.0, 1.0, 1.5, 9.0]), np.array([2.0, 2.0, 1.0, 1.0])
    assert serve(arrivals, busy).wait.tolist() == [0.0, 1.0, 2.5, 0.0]
    assert serve(arrivals, busy, 2).wait.tolist() == [0.0, 0.0, 0.5, 0.0]
    warm = serve(arrivals, busy, warm=np.full(4, 0.5))
    assert warm.wait.tolist() == [0.0, 1.0, 1.5, 0.0]
    assert warm.busy.tolist() == [2.0, 1.0, 0.5, 1.0]


_times = arrays.arrays(
    np.float64, st.integers(1, 40), elements=st.floats(0, 100, allow_subnormal=False)
)


@given(_times, st.integers(1, 5), st.floats(0.1, 1.0))
def test_who_comes_sooner_waits_longer(gaps: Floats, servers: int, sooner: float) -> None:
    busy = np.random.default_rng(5).exponential(10.0, len(gaps))
    slow = serve(np.cumsum(gaps), busy, servers)
    fast = serve(np.cumsum(gaps) * sooner, busy, servers)
    assert (fast.wait >= slow.wait - 1e-9).all()


@given(_times, st.integers(1, 4))
def test_no_server_idles_while_somebody_waits(gaps: Floats, servers: int) -> None:
    arrivals = np.cumsum(gaps)
    busy = np.random.default_rng(6).exponential(20.0, len(gaps))
    found = serve(arrivals, busy, servers)
    begins, ends = arrivals + found.wait, arrivals + found.wait + found.busy
    assert (np.diff(begins) >= -1e-9).all()
    for begin, wait in zip(begins, found.wait, strict=True):
        at_work = ((begins < begin - 1e-9) & (ends > begin - 1e-9)).sum()
        assert at_work <= servers
        if wait > 1e-9:  # until now all of them were busy
            moment = begin - 1e-9 - 1e-12 * begin
            assert ((begins <= moment) & (ends >= moment)).sum() >= servers


@given(_times, st.integers(1, 3))
def test_more_servers_never_mean_more_waiting(gaps: Floats, servers: int) -> None:
    busy = np.random.default_rng(7).exponential(20.0, len(gaps))
    few = serve(np.cumsum(gaps), busy, servers)
    many = serve(np.cumsum(gaps), busy, servers + 1)
    assert (many.wait <= few.wait + 1e-9).all()


def test_a_round_by_hand() -> None:
    """Two come while the first one is at work: their answers go out together, then one's sending;
    the last comes meanwhile."""
    arrivals, busy = np.array([0.0, 1.0, 1.5, 6.0]), np.array([2.0, 1.0, 2.0, 1.0])
    found = serve_rounds(arrivals, busy, np.array([0.0, 1.5, 0.0, 0.0]), 10.0)
    assert found.wait.tolist() == [0.0, 1.0, 1.5, 0.5]
    assert found.held.tolist() == [0.0, 2.0, 0.0, 0.0]
    assert found.until_after.tolist() == [0.0, 0.0, 1.5, 0.0]
    assert found.busy.tolist() == [2.0, 2.5, 2.0, 1.0]
    assert found.lasts.tolist() == [2.0, 4.5, 1.0]


def test_a_round_ends_with_the_job_during_which_its_time_is_over() -> None:
    found = serve_rounds(np.zeros(5), np.ones(5), np.zeros(5), 2.0)
    assert found.wait.tolist() == [0, 1, 2, 3, 4]
    assert found.lasts.tolist() == [2, 2, 1] and found.held.tolist() == [1, 0, 1, 0, 0]


def test_only_who_finds_the_loop_idle_is_cold() -> None:
    arrivals = np.array([0.0, 0.5, 0.6, 9.0])
    found = serve_rounds(arrivals, np.full(4, 2.0), np.full(4, 1.0), 10.0, np.full(4, 0.5))
    assert found.busy.tolist() == [3.0, 1.5, 1.5, 3.0]


@given(_times, st.integers(1, 4))
def test_rounds_of_one_are_first_come_first_served(gaps: Floats, scale: int) -> None:
    arrivals = np.cumsum(gaps)
    busy = np.random.default_rng(8).exponential(10.0 * scale, len(gaps))
    share = np.random.default_rng(9).random(len(gaps))
    plain = serve(arrivals, busy, 1, share)
    found = serve_rounds(arrivals, busy, np.zeros(len(gaps)), 0.0, share)
    assert found.wait == pytest.approx(plain.wait, abs=1e-6)
    assert found.busy == pytest.approx(plain.busy) and not found.held.any()


@given(_times, st.integers(1, 4), st.floats(0.0, 60.0))
def test_rounds_do_all_the_work_and_answer_together(gaps: Floats, scale: int, most: float) -> None:
    arrivals = np.cumsum(gaps)
    rng = np.random.default_rng(10)
    busy, after = rng.exponential(10.0 * scale, len(gaps)), rng.exponential(5.0, len(gaps))
    alone = serve_rounds(arrivals, busy, after, 0.0)
    found = serve_rounds(arrivals, busy, after, most)
    # No work is saved and the loop idles at the same times.
    assert found.lasts.sum() == pytest.approx(alone.lasts.sum())
    # Two answers go out together, or at least the later one's work lies between them.
    out = arrivals + found.wait + busy + found.held
    gaps_out = np.diff(out)
    assert ((gaps_out < 1e-6) | (gaps_out > busy[1:] - 1e-6)).all()
    assert (found.held <= most + 1e-9 + busy.max()).all()
