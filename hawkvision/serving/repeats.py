"""How often one kind of log line may be written. Knows no clock."""

from __future__ import annotations

import re
from collections import OrderedDict

_VARYING = re.compile(r"0x[0-9a-fA-F]+|\d+")
_KIND_CHARACTERS = 200


def kind_of(logger: str, template: str) -> tuple[str, str]:
    """What makes two lines alike: the logger and the text before values are filled in.

    Numbers are passed over, for libraries that fill them in themselves.
    """
    return logger, _VARYING.sub("#", template[:_KIND_CHARACTERS])


class Repeats:
    """Lets `most` lines of a kind pass in `window_s` seconds, and counts the others.

    The window begins with the first line. Of kinds the latest `kinds` are remembered, so that a
    library which invents them costs no memory.
    """

    def __init__(self, most: int = 10, window_s: float = 60.0, kinds: int = 1000) -> None:
        self.most = most
        self.window_s = window_s
        self._kinds = kinds
        self._seen: OrderedDict[tuple[str, str], _Window] = OrderedDict()

    def see(self, kind: tuple[str, str], now: float) -> int | None:
        """How many like it were dropped since the last one that passed; None: drop this one."""
        window = self._seen.get(kind)
        if window is None:
            self._seen[kind] = window = _Window(now)
            if len(self._seen) > self._kinds:
                self._seen.popitem(last=False)
        self._seen.move_to_end(kind)
        if now - window.began >= self.window_s:
            window.began, window.passed = now, 0
        if window.passed >= self.most:
            window.dropped += 1
            return None
        window.passed += 1
        dropped, window.dropped = window.dropped, 0
        return dropped

    def is_last(self, kind: tuple[str, str]) -> bool:
        """Whether the line that just passed is the last one of its window."""
        window = self._seen.get(kind)
        return window is not None and window.passed >= self.most

    def left(self) -> dict[tuple[str, str], int]:
        """How many of each kind were dropped that no line has told of, and forget them."""
        found = {kind: one.dropped for kind, one in self._seen.items() if one.dropped}
        for kind in found:
            self._seen[kind].dropped = 0
        return found


class _Window:
    """What passed and what did not since `began`, seconds."""

    __slots__ = ("began", "dropped", "passed")

    def __init__(self, began: float) -> None:
        self.began = began
        self.passed = 0
        self.dropped = 0
