"""Whom the keys in force let in, with the time as an argument."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hawkvision.errors import Forbidden, RateLimited, Unauthorized
from hawkvision.serving.access.keyfile import Key, KeyFile, digest_of
from hawkvision.serving.access.rate import Rate
from hawkvision.serving.access.ring import ANYBODY, PLACES, Caller, KeyRing
from hawkvision.serving.access.scopes import GRANTED, Scope

NOW = 1000.0


def key(name: str, *scopes: Scope, apps: frozenset[str] | None = None, **more: object) -> Key:
    made = Key(name, digest_of(f"key of {name}"), frozenset(scopes or GRANTED), apps)
    return replace(made, **more)  # type: ignore[arg-type]


def admit(
    ring: KeyRing, name: str | None, scope: Scope, *, wall_s: float = NOW, now: float = NOW
) -> Caller:
    sent = None if name is None else f"key of {name}"
    return ring.admit(sent, scope, wall_s=wall_s, now=now)


def test_without_a_file_everybody_may_do_everything() -> None:
    ring = KeyRing(None)
    assert all(admit(ring, None, scope) is ANYBODY for scope in GRANTED)
    assert ANYBODY.may("any")


def test_a_key_opens_its_scopes_and_no_others() -> None:
    ring = KeyRing(KeyFile((key("cam", Scope.CLASSIFY, Scope.READ),)))
    for scope in GRANTED:
        if scope in (Scope.CLASSIFY, Scope.READ):
            assert admit(ring, "cam", scope).key == "cam"
        else:
            with pytest.raises(Forbidden, match=f"'cam' has not the scope {scope}"):
                admit(ring, "cam", scope)
        with pytest.raises(Unauthorized, match=str(scope)):
            admit(ring, None, scope)


@pytest.mark.parametrize("sent", ["", "x", "key of cam ", "key of other", "\udcff\udc00", "é" * 99])
def test_what_is_no_key_opens_nothing(sent: str) -> None:
    ring = KeyRing(KeyFile((key("cam"),), frozenset({Scope.READ})))
    with pytest.raises(Unauthorized, match="not known"):
        ring.admit(sent, Scope.READ, wall_s=NOW, now=NOW)


def test_a_key_that_shares_the_beginning_of_a_hash_opens_nothing() -> None:
    digest = digest_of("key of cam")
    false = digest[:8] + bytes(24)
    ring = KeyRing(KeyFile((replace(key("cam"), digest=false),)))
    with pytest.raises(Unauthorized, match="not known"):
        admit(ring, "cam", Scope.READ)


def test_keys_expire_and_are_revoked_and_say_so() -> None:
    ring = KeyRing(KeyFile((key("old", expires_s=NOW), key("gone", disabled=True))))
    assert admit(ring, "old", Scope.READ, wall_s=NOW - 1).key == "old"
    with pytest.raises(Unauthorized, match="'old' has expired"):
        admit(ring, "old", Scope.READ)
    with pytest.raises(Unauthorized, match="'gone' is revoked"):
        admit(ring, "gone", Scope.READ)


def test_a_key_is_for_its_apps() -> None:
    ring = KeyRing(KeyFile((key("gate", apps=frozenset({"gate"})), key("all"))))
    caller = admit(ring, "gate", Scope.TARGETS)
    caller.check("gate")
    with pytest.raises(Forbidden, match="'gate' may not act for app 'belt'"):
        caller.check("belt")
    admit(ring, "all", Scope.TARGETS).check("belt")
    assert ring.apps == {"gate"} and ring.every_app


def test_what_anybody_may_do_a_key_may_too() -> None:
    gate = key("gate", Scope.FEEDBACK, apps=frozenset({"gate"}))
    ring = KeyRing(KeyFile((gate,), frozenset({Scope.READ, Scope.CLASSIFY})))
    assert admit(ring, None, Scope.READ).may("gate")
    assert admit(ring, "gate", Scope.READ).may("belt")
    without = admit(ring, None, Scope.CLASSIFY)
    assert (
        without.key is None and not without.may("gate") and without.reserved == frozenset({"gate"})
    )
    with pytest.raises(Unauthorized, match="app 'gate' needs its key"):
        without.check("gate")
    assert admit(ring, "gate", Scope.CLASSIFY).apps == frozenset({"gate"})


def test_a_rate_is_kept_and_says_when_to_come_again() -> None:
    ring = KeyRing(KeyFile((key("cam", rate=Rate(0.5, 2.0)), key("other"))))
    for _ in range(2):
        admit(ring, "cam", Scope.READ)
    with pytest.raises(RateLimited, match=r"'cam': more than 0\.5") as told:
        admit(ring, "cam", Scope.READ)
    assert told.value.retry_after_s == 2
    admit(ring, "other", Scope.READ)
    admit(ring, "cam", Scope.READ, now=NOW + 2)


def test_who_has_no_key_has_a_rate_of_all_together() -> None:
    ring = KeyRing(KeyFile((key("cam"),), frozenset({Scope.READ}), Rate(1.0, 1.0)))
    admit(ring, None, Scope.READ)
    with pytest.raises(RateLimited, match="without a key"):
        admit(ring, None, Scope.READ)
    admit(ring, "cam", Scope.READ)


def test_a_new_file_takes_over_whole_and_rates_go_on() -> None:
    cam = key("cam", Scope.READ, rate=Rate(1.0, 1.0))
    ring = KeyRing(KeyFile((cam,)))
    admit(ring, "cam", Scope.READ)
    ring.replace(KeyFile((cam, key("new"))))
    assert admit(ring, "new", Scope.MODELS).key == "new"
    with pytest.raises(RateLimited):
        admit(ring, "cam", Scope.READ)
    ring.replace(KeyFile((key("new"),)))
    with pytest.raises(Unauthorized):
        admit(ring, "cam", Scope.READ)


def test_workers_with_the_same_file_count_together_and_no_two_keys_share_a_place() -> None:
    file = KeyFile(tuple(key(f"key-{index}", rate=Rate(1.0, 1.0)) for index in range(300)))
    meters = [0.0] * PLACES
    one, other = KeyRing(file, meters), KeyRing(file, meters)
    for index in range(300):
        admit(one, f"key-{index}", Scope.READ)
        with pytest.raises(RateLimited):
            admit(other, f"key-{index}", Scope.READ)
    assert sum(value > 0 for value in meters) == 300
