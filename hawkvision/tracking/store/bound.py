"""A bound on what is counted apart, so that clients cannot make counters at will.

Of each task, `MOST_KEYS` pairs of app and target are counted under their own names; what comes
beyond is counted together under `records.other`. Counts of the whole task and of golden probes
are two keys that no client makes; they stand outside the bound.
"""

from __future__ import annotations

from hawkvision.tracking.counts import PROBES, TASK_WIDE
from hawkvision.tracking.records import CountKey, Counts, merge, other

MOST_KEYS = 512
FORGOTTEN_S = 3600
"""A key that was not counted for so long makes room for another. Longer than any bucket, so a
bucket holds at most twice `MOST_KEYS`."""


def bounded(key: CountKey) -> bool:
    """Whether a key is one of those that clients make."""
    return key.target not in (TASK_WIDE, PROBES) and key != other(key.task)


def fold(into: dict[CountKey, dict[str, float]], more: Counts, most_keys: int = MOST_KEYS) -> None:
    """Add `more` to `into`, in which no task gets more than `most_keys` keys of its own."""
    own: dict[str, int] = {}
    for key in into:
        own[key.task] = own.get(key.task, 0) + bounded(key)
    for key, measures in more.items():
        if key not in into and bounded(key):
            if own.get(key.task, 0) >= most_keys:
                key = other(key.task)
            else:
                own[key.task] = own.get(key.task, 0) + 1
        merge(into, {key: measures})


class Admitted:
    """Which keys of one task are counted under their own names. Sans-I/O."""

    def __init__(self, most_keys: int = MOST_KEYS, forgotten_s: float = FORGOTTEN_S) -> None:
        self._most_keys = most_keys
        self._forgotten_s = forgotten_s
        self._seen: dict[CountKey, float] = {}

    def key(self, key: CountKey, now: float) -> CountKey:
        """The key itself, or `other` where there is no room for it. `now` in seconds."""
        if not bounded(key):
            return key
        if self._seen.pop(key, None) is None and len(self._seen) >= self._most_keys:
            longest_unseen = next(iter(self._seen))
            if now - self._seen[longest_unseen] <= self._forgotten_s:
                return other(key.task)
            del self._seen[longest_unseen]
        self._seen[key] = now
        return key
