"""Which version serves, which are kept and how long, which are passed over until they change."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from hawkvision.serving.catalog import Catalog, Fault, Step
from hawkvision.serving.control import VersionState


@dataclass(eq=False)
class Loaded:
    version: str
    agrees: bool = True
    closed: bool = False

    def close(self) -> None:
        self.closed = True


def catalog(keep: int = 1, grace_s: float = 10.0, held_s: float = 60.0) -> Catalog[Loaded]:
    return Catalog(keep, grace_s, held_s)


def serve(catalog: Catalog[Loaded], version: str, now: float = 0.0) -> Loaded:
    loaded = Loaded(version)
    catalog.takes_over("t", version, (version,), loaded, now)
    return loaded


def found(*versions: str) -> list[tuple[str, tuple[object, ...]]]:
    return [(version, (version,)) for version in versions]


def states(catalog: Catalog[Loaded]) -> dict[str, str]:
    return {one.version: one.state.value for one in catalog.index()}


def test_the_newest_version_is_loaded_and_the_one_that_serves_stays() -> None:
    one = catalog()
    serve(one, "1")
    assert one.plan("t", found("2", "1")) == Step("2", ("2",))
    serve(one, "2")
    assert one.plan("t", found("2", "1")) is None


def test_what_could_not_serve_is_passed_over_until_its_folder_changes() -> None:
    one = catalog()
    serve(one, "1")
    assert one.failed("t", "2", Fault(("2",), "damaged"))
    assert not one.failed("t", "2", Fault(("2",), "damaged"))  # no news
    assert one.plan("t", found("2", "1")) is None
    assert one.plan("t", found("2", "1"), again=True) == Step("2", ("2",))
    assert one.plan("t", found("2", "1"), again=True, tried=["2"]) is None
    assert one.plan("t", [("2", ("repaired",)), ("1", ("1",))]) == Step("2", ("repaired",))
    assert [(row.state, row.reason) for row in one.index() if row.version == "2"] == [
        (VersionState.UNAVAILABLE, "damaged")
    ]
    one.seen("t", found("1"))
    assert states(one) == {"1": "READY"}


def test_a_version_whose_folder_is_gone_gives_way_to_the_newest_that_is_there() -> None:
    one = catalog()
    serve(one, "3")
    assert one.plan("t", found("2", "1")) == Step("2", ("2",))
    assert one.plan("t", []) is None  # nothing there: what serves goes on


def test_a_retired_version_is_freed_when_its_last_user_lets_go() -> None:
    one = catalog()
    held = serve(one, "1")
    serve(one, "2", now=1.0)
    assert states(one) == {"2": "READY", "1": "UNLOADING"}
    assert one.freed() == [] and one.overdue(60.9) == []
    assert one.overdue(61.0) == [held] and one.overdue(62.0) == []
    del held
    assert one.freed() == [("t", "1")]
    assert states(one) == {"2": "READY"} and not one.restless


def test_older_versions_are_kept_while_somebody_asks_for_them() -> None:
    one = catalog(keep=2)
    for number, version in enumerate("123"):
        serve(one, version, now=float(number))
    assert states(one) == {"3": "READY", "2": "READY"}  # the oldest made room, and is freed
    assert one.find("t", "1", 2.0) is None
    kept = one.find("t", "2", 8.0)
    assert kept is not None and kept.version == "2"
    assert one.retire_unasked(17.9) == []
    assert one.retire_unasked(18.0) == [("t", "2")]
    assert one.find("t", "2", 18.0) is None
    newest = one.find("t", "", 18.0)
    assert newest is not None and newest.version == "3"


def test_a_kept_version_takes_over_again_as_it_is() -> None:
    one = catalog(keep=2)
    first = serve(one, "1")
    serve(one, "2")
    step = one.plan("t", found("1"))
    assert step == Step("1", ("1",), resident=True)
    one.takes_over("t", "1", ("1",), None, 5.0)
    assert one.serving == {"t": first} and one.version("t") == "1"


def test_the_same_version_with_other_files_replaces_itself() -> None:
    one = catalog(keep=2)
    serve(one, "1")
    assert one.plan("t", [("1", ("changed",))]) == Step("1", ("changed",))
    again = Loaded("1")
    one.takes_over("t", "1", ("changed",), again, 1.0)
    assert one.find("t", "1", 1.0) is again and states(one) == {"1": "READY"}


def test_what_is_unloaded_stays_so_until_it_takes_over_again() -> None:
    one = catalog(keep=2)
    serve(one, "1")
    serve(one, "2")
    one.unload("t", 1.0)
    assert one.serving == {} and one.unloaded("t")
    one.freed()
    assert [(row.version, row.state.value, row.reason) for row in one.index()] == [
        ("", "UNAVAILABLE", "unloaded")
    ]
    assert one.index(ready=True) == []
    serve(one, "2", 2.0)
    assert not one.unloaded("t") and states(one) == {"2": "READY"}


def test_whoever_is_told_of_retired_versions_is_told_of_each() -> None:
    gone: list[str] = []
    one = Catalog[Loaded](2, let_go=lambda value: gone.append(value.version))
    for version in "1234":
        serve(one, version)
    one.unload("t", 0.0)
    assert gone == ["1", "2", "4", "3"]


@pytest.mark.parametrize("known", ["loading", "failed"])
def test_a_version_that_is_loaded_is_said_to_be(known: str) -> None:
    one = catalog()
    if known == "failed":
        one.failed("t", "1", Fault((), "damaged"))
    one.loading("t", "1")
    assert states(one) == {"1": "LOADING"}
