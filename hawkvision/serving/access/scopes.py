"""What a key may be good for. Every route and every method names exactly one of these."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """Who may call a route: everybody (`PUBLIC`), or whoever has a key with that scope.

    `READ` is what a service says of itself: tasks, targets, what was delivered, agents, gateways,
    power, statistics. `MODELS` loads and unloads.
    """

    PUBLIC = "public"
    CLASSIFY = "classify"
    FEEDBACK = "feedback"
    TARGETS = "targets"
    STREAMS = "streams"
    READ = "read"
    METRICS = "metrics"
    MODELS = "models"


GRANTED = tuple(one for one in Scope if one is not Scope.PUBLIC)
"""Those that a key may have."""

WITHOUT_A_KEY = frozenset({Scope.CLASSIFY, Scope.STREAMS, Scope.READ, Scope.METRICS})
"""Those that a file of keys may give to requests without a key: none of them changes anything that
others see."""
