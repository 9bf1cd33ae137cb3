"""Which version of each task serves, which are kept beside it, which cannot: states, and no I/O.

Whoever holds the object of a version has a lease on it: a request in flight, a job on a thread, a
batch. A version that is retired is let go here, so it is freed when the last of them has ended;
what is still held when a bound has passed is to be closed (`overdue`).
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from hawkvision.serving.control import VersionState, VersionStatus

Stamp = tuple[object, ...]
"""Equal for two looks at a folder whose content has not changed between them."""

Found = tuple[str, Stamp]
"""A version that lies in the repository, and the state of its folder."""

HELD_S = 60.0
"""So long a retired version may be held, seconds: longer than any request takes."""

_KEPT = "kept for those that ask for it"
_MOST_FAULTS = 16
"""Versions of one task that cannot serve and are remembered, the newest."""


class Version(Protocol):
    """What a catalog holds: a task's version, loaded."""

    @property
    def version(self) -> str:
        """Its name among the task's versions."""
        ...

    @property
    def agrees(self) -> bool:
        """Whether it answers its reference images as the certified engine did."""
        ...

    def close(self) -> None:
        """Free what it holds, whoever still uses it."""
        ...


T = TypeVar("T", bound=Version)


@dataclass(slots=True)
class _Resident(Generic[T]):
    """A loaded version; `asked` is when somebody named it last (`now` of the catalog)."""

    version: str
    stamp: Stamp
    value: T
    asked: float


@dataclass(slots=True)
class _Retiring(Generic[T]):
    name: str
    version: str
    value: weakref.ref[T]
    until: float
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a version cannot serve; it is tried again once its folder has changed."""

    stamp: Stamp
    reason: str


@dataclass(frozen=True, slots=True)
class Step:
    """What to do to serve a version: load it, or, with `resident`, let it take over as it is."""

    version: str
    stamp: Stamp
    resident: bool = False


@dataclass
class Catalog(Generic[T]):
    """`keep` versions of a task are resident at most, the one that serves among them.

    The others are kept while somebody asked for them within `grace_s`. Times in seconds; `now` is
    any clock that only goes on.
    """

    keep: int = 1
    grace_s: float = math.inf
    held_s: float = HELD_S
    let_go: Callable[[T], None] = lambda _value: None
    """Told of each version that is retired: calls in flight may still hold it."""

    serving: dict[str, T] = field(default_factory=dict)
    """By task: live, so that whoever holds the mapping sees the version that serves now."""
    _residents: dict[str, list[_Resident[T]]] = field(init=False, default_factory=dict)
    _faults: dict[str, dict[str, Fault]] = field(init=False, default_factory=dict)
    _loading: dict[str, str] = field(init=False, default_factory=dict)
    _retiring: list[_Retiring[T]] = field(init=False, default_factory=list)
    _unloaded: set[str] = field(init=False, default_factory=set)

    # What is asked of it.

    def find(self, name: str, version: str, now: float) -> T | None:
        """A resident version, without `version` the one that serves; None if there is none."""
        if not version:
            return self.serving.get(name)
        for one in self._residents.get(name, ()):
            if one.version == version:
                one.asked = now
                return one.value
        return None

    def version(self, name: str) -> str | None:
        """The version that serves."""
        residents = self._residents.get(name)
        return residents[0].version if residents else None

    def unloaded(self, name: str) -> bool:
        """Whether somebody said that this task shall not serve."""
        return name in self._unloaded

    def fault(self, name: str, version: str) -> Fault | None:
        """Why a version cannot serve, as far as that was tried."""
        return self._faults.get(name, {}).get(version)

    def index(self, *, ready: bool = False) -> list[VersionStatus]:
        """Every version that is known, by task; or those alone that answer."""
        rows = []
        for name in sorted({*self._residents, *self._loading, *self._faults, *self._unloaded}):
            rows += self._rows(name)
        return [one for one in rows if one.state is VersionState.READY] if ready else rows

    def _rows(self, name: str) -> list[VersionStatus]:
        rows = [
            VersionStatus(name, one.version, VersionState.READY, _KEPT if place else "")
            for place, one in enumerate(self._residents.get(name, ()))
        ]
        if name in self._loading:
            rows.append(VersionStatus(name, self._loading[name], VersionState.LOADING))
        rows += [
            VersionStatus(name, one.version, VersionState.UNLOADING)
            for one in self._retiring
            if one.name == name and one.value() is not None and not one.closed
        ]
        rows += [
            VersionStatus(name, version, VersionState.UNAVAILABLE, fault.reason)
            for version, fault in self._faults.get(name, {}).items()
            if self._loading.get(name) != version
        ]
        if not rows:
            rows.append(VersionStatus(name, "", VersionState.UNAVAILABLE, "unloaded"))
        return rows

    # What lies in the repository.

    def seen(self, name: str, found: Sequence[Found]) -> None:
        """Forget faults of versions that are gone."""
        there = {version for version, _ in found}
        faults = {
            version: fault
            for version, fault in self._faults.get(name, {}).items()
            if version in there
        }
        self._faults[name] = faults
        if not faults:
            del self._faults[name]

    def plan(
        self, name: str, found: Sequence[Found], *, again: bool = False, tried: Collection[str] = ()
    ) -> Step | None:
        """The next step towards the newest good version of `found`, newest first.

        None where there is nothing to do: it serves, or no version is good (what serves goes on).
        Versions that could not serve are passed over until their folder changes, or `again`.
        """
        for version, stamp in found:
            for place, one in enumerate(self._residents.get(name, ())):
                if (one.version, one.stamp) == (version, stamp):
                    return Step(version, stamp, resident=True) if place else None
            if version in tried:
                continue
            fault = self.fault(name, version)
            if fault is None or again or fault.stamp != stamp:
                return Step(version, stamp)
        return None

    # What becomes of a version.

    def loading(self, name: str, version: str) -> None:
        """It is being loaded and checked."""
        self._loading[name] = version

    def failed(self, name: str, version: str, fault: Fault) -> bool:
        """It cannot serve; whether that is news."""
        self._loading.pop(name, None)
        faults = self._faults.setdefault(name, {})
        news = faults.get(version) != fault
        faults[version] = fault
        while len(faults) > _MOST_FAULTS:
            del faults[next(iter(faults))]
        return news

    def takes_over(
        self, name: str, version: str, stamp: Stamp, value: T | None, now: float
    ) -> T | None:
        """A loaded version, or with None the resident one, serves from now on; what did before."""
        self._loading.pop(name, None)
        self._unloaded.discard(name)
        if (faults := self._faults.get(name)) is not None:
            faults.pop(version, None)
            if not faults:
                del self._faults[name]
        residents = self._residents.setdefault(name, [])
        before = residents[0] if residents else None
        if value is None:
            taken = next(one for one in residents if (one.version, one.stamp) == (version, stamp))
            residents.remove(taken)
        else:
            for old in [one for one in residents if one.version == version]:
                residents.remove(old)
                self._retire(name, old, now)
            taken = _Resident(version, stamp, value, now)
        if before is not None:
            before.asked = now
        residents.insert(0, taken)
        self.serving[name] = taken.value
        while len(residents) > self.keep:
            self._retire(name, residents.pop(), now)
        return None if before is None else before.value

    def unload(self, name: str, now: float) -> T | None:
        """The task serves no more, until a version takes over again; what served."""
        self._unloaded.add(name)
        self._faults.pop(name, None)
        for one in self._residents.pop(name, []):
            self._retire(name, one, now)
        return self.serving.pop(name, None)

    def _retire(self, name: str, one: _Resident[T], now: float) -> None:
        until = now + self.held_s
        self.let_go(one.value)
        self._retiring.append(_Retiring(name, one.version, weakref.ref(one.value), until))

    # Time.

    @property
    def retiring(self) -> int:
        """How many retired versions may still be held."""
        return len(self._retiring)

    @property
    def restless(self) -> bool:
        """Whether time alone may change something."""
        return bool(self._retiring) or any(len(one) > 1 for one in self._residents.values())

    def retire_unasked(self, now: float) -> list[tuple[str, str]]:
        """Let go of kept versions that nobody asked for; their names and versions."""
        retired = []
        for name, residents in self._residents.items():
            for one in [one for one in residents[1:] if now - one.asked >= self.grace_s]:
                residents.remove(one)
                self._retire(name, one, now)
                retired.append((name, one.version))
        return retired

    def freed(self) -> list[tuple[str, str]]:
        """Retired versions that nobody holds any more, each told once."""
        gone = [one for one in self._retiring if one.value() is None]
        self._retiring = [one for one in self._retiring if one.value() is not None]
        return [(one.name, one.version) for one in gone]

    def overdue(self, now: float) -> list[T]:
        """Retired versions that are held for too long, each given once, to be closed."""
        late = []
        for one in self._retiring:
            value = one.value()
            if value is not None and not one.closed and now >= one.until:
                one.closed = True
                late.append(value)
        return late
