"""A bound on what is counted apart, so that clients cannot make counters at will.

Of each task, `MOST_KEYS` pairs of app and target are counted under their own names, and as many of
apps that showed their keys, so that nobody without a key takes their room; what comes beyond is
counted together under `records.other`. Counts of the whole task and of golden probes are keys that
no client makes; they stand outside the bound.
"""

from __future__ import annotations

from hawkvision.errors import LimitReached
from hawkvision.tracking.counts import PROBES, TASK_WIDE
from hawkvision.tracking.records import CountKey, Counts, merge, other
from hawkvision.tracking.trust import is_vouched

MOST_KEYS = 512
MOST_APPS = 512
"""Stored apps, for all tasks together; agents read them all every time that one changes."""
FORGOTTEN_S = 3600
"""A key that was not counted for so long makes room for another. Longer than any bucket, so a
bucket holds at most twice `MOST_KEYS` of either kind."""

MOST_NOTES = 4096
"""Agents whose notes on one subject are kept."""
NOTED_S = 30 * 86400.0
"""How long notes on a subject are kept after the last one, seconds."""


def bounded(key: CountKey) -> bool:
    """Whether a key is one of those that clients make."""
    return key.target not in (TASK_WIDE, PROBES) and key != other_of(key)


def other_of(key: CountKey) -> CountKey:
    """What a key is counted under where there is no room for it."""
    return other(key.task, with_key=is_vouched(key.app))


def no_room_for(app: str, most_apps: int) -> LimitReached:
    """What whoever stores one app too many is told."""
    return LimitReached(
        f"{most_apps} apps are stored, and {app!r} is not among them",
        retry_after_s=60,
        hint="Forget one that is not needed: DELETE /v1/apps/NAME.",
    )


Room = tuple[str, bool]
"""A task, and whether keys were shown: of each so many pairs are counted apart."""


def room_of(key: CountKey) -> Room:
    """Whose room a key takes."""
    return key.task, is_vouched(key.app)


def fold(into: dict[CountKey, dict[str, float]], more: Counts, most_keys: int = MOST_KEYS) -> None:
    """Add `more` to `into`, with at most `most_keys` keys in each room."""
    own: dict[Room, int] = {}
    for key in into:
        own[room_of(key)] = own.get(room_of(key), 0) + bounded(key)
    for key, measures in more.items():
        if key not in into and bounded(key):
            room = room_of(key)
            if own.get(room, 0) >= most_keys:
                key = other_of(key)
            else:
                own[room] = own.get(room, 0) + 1
        merge(into, {key: measures})


class Admitted:
    """Which keys of one room are counted under their own names. Sans-I/O."""

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
                return other_of(key)
            del self._seen[longest_unseen]
        self._seen[key] = now
        return key
