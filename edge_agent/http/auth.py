"""Who the agent counts a request as, by the key that it showed."""

from __future__ import annotations

from hawkvision.serving.access.ring import ANYBODY, Caller, KeyRing
from hawkvision.serving.access.scopes import Scope
from hawkvision.tracking.trust import vouched


def counted_as(caller: Caller, app: str | None) -> str:
    """What a request that names `app`, or none, is counted as (see `tracking.trust`).

    A key stands for its app also where the request names none. Raises Unauthorized or Forbidden
    where the named app needs a key that the request does not carry: answering as if it had named
    no app would hide from a camera that its key is wrong.
    """
    if caller is ANYBODY:
        return app or ""
    if app is None:
        if caller.key is None:
            return ""
        return vouched("" if caller.apps is None else min(caller.apps))
    if caller.key is not None and caller.may(app):
        return vouched(app)
    if caller.reserved is None or app in caller.reserved:
        raise caller.refused(app)
    return app


def names_of(ring: KeyRing, app: str) -> tuple[str, ...]:
    """Under which names the requests of an app are counted; the first one steers."""
    if not ring.on:
        return (app, vouched(app))
    if app in ring.apps or (ring.every_app and Scope.CLASSIFY not in ring.anonymous):
        return (vouched(app),)
    return (vouched(app), app) if ring.every_app else (app,)
