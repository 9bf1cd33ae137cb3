"""Phases in turn: quiet, an attack, quiet again, and what is written down of each."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from tests.attack.attacks import OVERLOAD, names_of
from tests.attack.deployment import Deployment, Service
from tests.attack.judge import DEADLINE_MS, REST_DESCRIPTORS, REST_MIB
from tests.attack.normal import TIMEOUT_S
from tests.attack.record import Memory, Phase, Result, Size, drift, errors, quantile, served, slope

_CREWS = 6
"""So many processes share the attacks of the mix, so that none waits for another one's loop."""

_LONG_S = 120.0
"""An attack of this length says whether memory is steady under it."""

_FAULTS = ("Traceback (most recent call last)", "unexpected error", "never retrieved")


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds around an attack, and who goes first in it.

    Memory and descriptors have `settle_s` to come back, and `least_quiet_s` pass at least. The
    first `calm_s` are neither attacked nor quiet. Errors after an attack count as the attack's.
    Attackers are niced by `nice`.
    """

    settle_s: float = 30.0
    least_quiet_s: float = TIMEOUT_S + 4.0
    calm_s: float = 4.0
    nice: int = 19


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when, s of CLOCK_MONOTONIC."""

    begin: float
    end: float

    def of(self, results: Sequence[Result]) -> list[Result]:
        """What was due in it."""
        return [one for one in results if self.begin <= one.due < self.end]


class Runner:
    """Runs phases on a deployment."""

    def __init__(self, deployment: Deployment, pauses: Pauses | None = None) -> None:
        self._pauses = pauses or Pauses()
        self._deployment = deployment
        self._quiets: list[Window] = []
        self._lines = {service.name: 0 for service in deployment.services}

    def quiet(self, seconds: float) -> Window:
        """Let the normal client be alone."""
        begin = time.monotonic()
        time.sleep(seconds)
        window = Window(begin, time.monotonic())
        self._quiets.append(window)
        return window

    def attack(self, name: str, seconds: float) -> Phase:
        """One attack, and the quiet after it until what it took is given back, 30 s at most."""
        before = {one.name: one.now() for one in self._deployment.services}
        window, tally, admitted = self._attacked(name, seconds)
        after = self._settled(before)
        results = self._deployment.normal.results
        around = self._quiets[-2:]
        services = {}
        for service in self._deployment.services:
            during = [one for one in service.sizes if window.begin <= one.at <= after.begin]
            last = service.now()
            services[service.name] = Memory(
                before=round(before[service.name].rss_mib, 1),
                peak=round(max((one.rss_mib for one in during), default=last.rss_mib), 1),
                after=round(last.rss_mib, 1),
                descriptors_before=before[service.name].descriptors,
                descriptors_peak=max((one.descriptors for one in during), default=0),
                descriptors_after=last.descriptors,
                alive=service.alive,
                mapped=round(last.mapped_mib - before[service.name].mapped_mib, 1),
            )
        said = self._said()
        begun = tally.pop("begun, ms", 0) / 1e3
        found = tally.pop("capacity, images/s x 100", 0) / 100
        mine = window if name != OVERLOAD or not begun else Window(begun, window.end)
        kept = mine.of(results)
        overload = _overload(kept, admitted, found, mine) if name == OVERLOAD else {}
        return Phase(
            name=name,
            seconds=round(mine.end - mine.begin, 1),
            served=served(kept),
            services=services,
            tally=dict(sorted(tally.items())),
            quiet_p99_ms=self._quiet_p99(around),
            tracebacks=_complaints(said),
            overload=overload,
            aftermath=errors(Window(window.end, after.end).of(results)),
            logged={service: len(lines) for service, lines in said.items()},
            leaked=self._leaked(said),
            drift_mib=self._drift(window) if seconds >= _LONG_S else {},
        )

    def whole_quiet(self) -> Phase:
        """All quiet phases as one."""
        results = [one for window in self._quiets for one in window.of(self._results)]
        seconds = sum(window.end - window.begin for window in self._quiets)
        return Phase("quiet", round(seconds, 1), served(results), quiet_p99_ms=self._quiet_p99([]))

    def growth(self, service: Service, skip_s: float) -> float:
        """MiB a minute of a service's memory, from `skip_s` after its first measurement on."""
        begin = service.sizes[0].at + skip_s
        return 60 * slope([(one.at, one.rss_mib) for one in service.sizes if one.at >= begin])

    @property
    def _results(self) -> list[Result]:
        return self._deployment.normal.results

    def _quiet_p99(self, around: Sequence[Window]) -> float | None:
        """The larger of P99 of all quiet phases so far and of those right around.

        One short phase holds some two hundred requests, and its P99 is the second worst of them.
        """
        found = [self._http_p99(self._quiets)]
        if around:
            found.append(self._http_p99(around))
        return max((one for one in found if one is not None), default=None)

    def _http_p99(self, windows: Sequence[Window]) -> float | None:
        results = [one for window in windows for one in window.of(self._results)]
        return quantile(
            [one.took_ms for one in results if one.door == "http" and one.outcome == "200"], 0.99
        )

    def _attacked(self, name: str, seconds: float) -> tuple[Window, dict[str, int], list[float]]:
        names = names_of(name, secure=self._deployment.secure)
        target = json.dumps(self._deployment.target.as_dict())
        words = [str(seconds), str(self._pauses.nice), target]
        with ExitStack() as stack:
            crews = [
                stack.enter_context(_attackers(names[at::_CREWS], words))
                for at in range(min(_CREWS, len(names)))
            ]
            for one in crews:
                if one.stdout is None or one.stdout.readline() != "ready\n":
                    for other in crews:
                        other.kill()
                    raise RuntimeError(f"the attackers of {name} did not get ready")
            begin = time.monotonic()
            for one in crews:
                assert one.stdin is not None
                one.stdin.write("go\n")
                one.stdin.flush()
            tally: Counter[str] = Counter()
            admitted: list[float] = []
            for one in crews:
                try:
                    one.wait(max(0.0, begin + seconds + 30 - time.monotonic()))
                except subprocess.TimeoutExpired:
                    one.kill()
                assert one.stdout is not None
                told = json.loads(
                    one.stdout.read() or '{"outcomes": {"the attackers broke off": 1}}'
                )
                tally.update(told["outcomes"])
                admitted += told.get("admitted_ms", ())
            end = min(begin + seconds, time.monotonic())
        return Window(begin, end), dict(tally), admitted

    def _settled(self, before: Mapping[str, Size]) -> Window:
        begun = time.monotonic()
        while time.monotonic() - begun < self._pauses.settle_s:
            time.sleep(0.5)
            if time.monotonic() - begun >= self._pauses.least_quiet_s and self._back(before):
                break
        window = Window(begun + self._pauses.calm_s, time.monotonic())
        if not errors(window.of(self._results)):  # else what the attack left goes on
            self._quiets.append(window)
        return window

    def _back(self, before: Mapping[str, Size]) -> bool:
        for service in self._deployment.services:
            was, now = before[service.name], service.now()
            if now.own_mib > was.own_mib + REST_MIB / 2:
                return False
            if now.descriptors > was.descriptors + REST_DESCRIPTORS / 2:
                return False
        return True

    def _said(self) -> dict[str, list[str]]:
        """What each service has logged since it was last asked."""
        found = {}
        for service in self._deployment.services:
            said = service.child.said
            found[service.name] = said[self._lines[service.name] :]
            self._lines[service.name] = len(said)
        return found

    def _leaked(self, said: Mapping[str, Sequence[str]]) -> list[str]:
        """Secrets that stand in what was logged."""
        return [
            f"{service}: {name}"
            for service, lines in said.items()
            for name, secret in self._deployment.secrets.items()
            if any(secret in line for line in lines)
        ]

    def _drift(self, window: Window) -> dict[str, float]:
        return {
            one.name: round(
                drift(
                    [
                        (size.at, size.rss_mib)
                        for size in one.sizes
                        if window.begin <= size.at < window.end
                    ]
                ),
                1,
            )
            for one in self._deployment.services
        }


def _attackers(names: Sequence[str], words: Sequence[str]) -> subprocess.Popen[str]:
    """A process of attackers, which waits for leave."""
    line = [sys.executable, "-m", "tests.attack.attacker", ",".join(names), *words]
    return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _complaints(said: Mapping[str, Sequence[str]]) -> list[str]:
    found = []
    for service, fresh in said.items():
        faults = [line.strip() for line in fresh if any(fault in line for fault in _FAULTS)]
        if faults:
            ends = [line.strip() for line in fresh if _is_error(line)]
            found.append(f"{service}: {len(faults)} ({', '.join(ends[:2])})"[:300])
    return found


def _is_error(line: str) -> bool:
    """Whether a line ends a traceback: `ValueError: …`."""
    name = line.split(":")[0]
    return name.isidentifier() and name.endswith(("Error", "Exception", "Warning", "Timeout"))


def _overload(
    results: Sequence[Result], admitted: Sequence[float], capacity: float, window: Window
) -> dict[str, float]:
    """Goodput is what was answered within the deadline, of both clients."""
    http = [one for one in results if one.door == "http"]
    good = [*admitted, *(one.took_ms for one in http if one.outcome == "200")]
    late = [one.took_ms for one in http if one.outcome == "503 deadline_exceeded"]
    return {
        "capacity": capacity,
        "goodput": sum(took <= DEADLINE_MS for took in good) / max(1.0, window.end - window.begin),
        "admitted_p99_ms": quantile([*good, *late], 0.99) or 0.0,
    }
