from __future__ import annotations

from typing import Any

import orjson

from edge_agent.dashboard.ledger import FRESH_S, KEPT, Ledger, Told
from edge_agent.dashboard.thresholds import MOST_SERIES, InForce, Moves
from edge_agent.dashboard.ticks import Tick


def answer(at: float, picture: str | None = None) -> dict[str, Any]:
    return {"t": at, "label": "stop"} | ({} if picture is None else {"picture": picture})


def told(second: int, who: int = 0, **more: Any) -> Told:
    return Told(who, second, more.pop("tick", Tick(answers=1)), **more)


def test_who_comes_is_told_everything_and_then_only_what_is_new() -> None:
    ledger = Ledger()
    for second in range(100):
        ledger.add(told(second, answers=[answer(second + 0.5)]))
    assert ledger.whole(100.0)["seconds"]["t"] == list(range(100))
    assert ledger.fresh(100.0)["seconds"]["t"] == list(range(95, 100))
    assert [one["t"] for one in ledger.fresh(100.0)["answers"]] == [
        94.5,
        95.5,
        96.5,
        97.5,
        98.5,
        99.5,
    ]


def test_who_missed_as_many_seconds_as_are_told_again_missed_nothing() -> None:
    ledger = Ledger()
    seen: set[int] = set()
    for second in range(60):
        ledger.add(told(second))
        if second % FRESH_S == FRESH_S - 1:
            seen |= set(ledger.fresh(second + 1.0)["seconds"]["t"])
    assert seen == set(range(60))


def test_no_more_answers_are_kept_than_so_many() -> None:
    ledger = Ledger()
    ledger.add(told(1, answers=[answer(1.0)] * (KEPT + 5)))
    numbers = [one["number"] for one in ledger.whole(2.0)["answers"]]
    assert numbers == list(range(6, KEPT + 6))


def test_pictures_are_kept_of_the_newest_answers_only() -> None:
    ledger = Ledger(pictures=2)
    for second in range(5):
        ledger.add(told(second, answers=[answer(second, f"data:{second}")]))
    pictures = [one["picture"] for one in ledger.whole(5.0)["answers"]]
    assert pictures == [None, None, None, "data:3", "data:4"]


def test_open_streams_are_those_of_workers_that_still_speak() -> None:
    ledger = Ledger(grace_s=1)
    ledger.add(told(10, who=0, streams=2))
    ledger.add(told(10, who=1, streams=3))
    assert ledger.fresh(12.0)["streams"] == 5
    ledger.add(told(18, who=1, streams=4))
    assert ledger.fresh(20.0)["streams"] == 4


def test_what_a_worker_says_comes_through_json_as_it_was() -> None:
    said = Told(3, 7, Tick(2, 1, times={5: 2}), [InForce("a", "0.9", 0.5, 0.4)], [answer(7.1)], 1)
    assert Told.of_list(orjson.loads(orjson.dumps(said.as_list()))) == said


def test_a_threshold_is_told_when_it_moves() -> None:
    moves = Moves()
    for second, threshold in ((1, 0.5), (2, 0.5), (3, 0.7), (4, 0.7)):
        moves.look(second, [InForce("signs", "0.9", threshold, 0.5)])
    assert moves.as_list(0)[0]["t"] == [1, 3]
    assert moves.as_list(0)[0]["threshold"] == [0.5, 0.7]
    assert moves.as_list(3) == []


def test_targets_that_were_asked_last_stay() -> None:
    moves = Moves()
    for number in range(MOST_SERIES + 4):
        moves.look(number, [InForce("signs", f"0.{number:02}", 0.5, 0.5)])
    kept = [one["target"] for one in moves.as_list(-1)]
    assert len(kept) == MOST_SERIES
    assert "0.03" not in kept and "0.04" in kept
