from __future__ import annotations

import pytest

from hawkvision.serving import memory


async def test_memory_goes_back_once_for_much_that_was_freed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[int] = []
    freed = 0
    monkeypatch.setattr(memory, "give_back", lambda: given.append(1))
    gives_back = memory.GivesBack(lambda: freed)
    for step, times in ((1, 0), (40 << 20, 1), (0, 1), (20 << 20, 1), (20 << 20, 2)):
        freed += step
        await gives_back.look()
        assert len(given) == times


def test_it_can_be_called_wherever_we_run() -> None:
    memory.give_back()
