"""The criteria: from the record of a phase to PASS or FAIL, each with its reason. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.attack.record import Memory, Phase

TIMES_QUIET = 3.0
PEAK_MIB = 768.0
"""The bodies held at once (256 MiB) and what decoding may take beside them (512 MiB)."""

REST_MIB = 64.0
"""An allocator gives pages back late; what stays beyond this was kept by somebody."""

REST_DESCRIPTORS = 24
DEGRADED_SHARE = 0.05
DEADLINE_MS = 1000.0
_GOODPUT = 0.85
_LATE = 1.2
_FLAT_MIB_A_MINUTE = 1.0
LOG_LINES_A_SECOND = 5.0
"""Of a service, and as many again for what is said once."""

DRIFT_MIB = 32.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """One criterion; `why` says what was found."""

    criterion: str
    held: bool
    why: str


def verdicts(phase: Phase) -> list[Verdict]:
    """All criteria of a phase."""
    found = [*_overload(phase)] if phase.overload else [*_answered(phase), _in_time(phase)]
    if not phase.overload:
        found.append(_degraded(phase))
    for name, memory in phase.services.items():
        found += _service(name, memory)
    found += [_told(phase), _afterwards(phase)]
    found.append(
        Verdict("log", not phase.tracebacks, "; ".join(phase.tracebacks[:2]) or "no traceback")
    )
    found += _log(phase)
    for name, moved in phase.drift_mib.items():
        found.append(Verdict(f"{name} steady", moved <= DRIFT_MIB, f"{moved:+.0f} MiB"))
    return found


def failed(phase: Phase) -> list[Verdict]:
    """Those that did not hold."""
    return [one for one in verdicts(phase) if not one.held]


def _answered(phase: Phase) -> Iterator[Verdict]:
    for door, one in phase.served.items():
        errors = ", ".join(f"{count} {name}" for name, count in one.errors.items())
        whole = one.answered == one.sent and one.sent > 0
        yield Verdict(f"{door} answered", whole, f"{one.answered}/{one.sent} {errors}".strip())


def _in_time(phase: Phase) -> Verdict:
    found, quiet = phase.served["http"].p99_ms, phase.quiet_p99_ms
    if found is None or quiet is None:
        return Verdict("P99", False, "nothing was answered")
    return Verdict("P99", found <= TIMES_QUIET * quiet, f"{found:.0f} ms, quiet {quiet:.0f} ms")


def _degraded(phase: Phase) -> Verdict:
    one = phase.served["http"]
    count = sum(one.degraded.values())
    why = ", ".join(f"{number} {reason}" for reason, number in one.degraded.items()) or "none"
    return Verdict("degraded", count <= DEGRADED_SHARE * max(1, one.answered), why)


def _service(name: str, memory: Memory) -> Iterator[Verdict]:
    yield Verdict(f"{name} alive", memory.alive, "alive" if memory.alive else "gone")
    grown, kept = memory.peak - memory.before, memory.after - memory.before - memory.mapped
    yield Verdict(f"{name} peak", grown <= PEAK_MIB, f"+{grown:.0f} MiB")
    why = f"{kept:+.0f} MiB after 30 s, {memory.mapped:+.0f} of files"
    yield Verdict(f"{name} back", kept <= REST_MIB, why)
    more = memory.descriptors_after - memory.descriptors_before
    yield Verdict(f"{name} descriptors", more <= REST_DESCRIPTORS, f"{more:+d} after 30 s")


def _told(phase: Phase) -> Verdict:
    bad = {name: count for name, count in phase.tally.items() if is_fault(name)}
    why = ", ".join(f"{count} {name}" for name, count in bad.items())
    return Verdict("no 500", not bad, why or "none")


def _afterwards(phase: Phase) -> Verdict:
    """What is still queued when overload ends may be refused as it was during it."""
    fine = ("503 overloaded", "overloaded") if phase.overload else ()
    wrong = {name: count for name, count in phase.aftermath.items() if name not in fine}
    why = ", ".join(f"{count} {name}" for name, count in wrong.items())
    return Verdict("answered after it", not wrong, why or "all")


def is_fault(outcome: str) -> bool:
    """Whether what an attacker was told is a fault of the service, or the attack itself broke."""
    if "broke off" in outcome or "without" in outcome:
        return True
    if outcome.startswith("5"):
        return not outcome.startswith("503")
    return outcome in ("grpc INTERNAL", "grpc UNKNOWN")


def _log(phase: Phase) -> Iterator[Verdict]:
    for name, count in phase.logged.items():
        most = LOG_LINES_A_SECOND * (phase.seconds + 10)
        yield Verdict(f"{name} log lines", count <= most, f"{count} in {phase.seconds:.0f} s")
    yield Verdict("no secret", not phase.leaked, ", ".join(phase.leaked) or "none in the logs")


def _overload(phase: Phase) -> Iterator[Verdict]:
    goodput, most = phase.overload["goodput"], phase.overload["capacity"]
    yield Verdict(
        "goodput", goodput >= _GOODPUT * most, f"{goodput:.0f}/s of {most:.0f}/s within 1 s"
    )
    late = phase.overload["admitted_p99_ms"]
    yield Verdict("admitted P99", late <= _LATE * DEADLINE_MS, f"{late:.0f} ms")
    wrong = {
        name: count
        for name, count in phase.served["http"].errors.items()
        if name not in ("503 overloaded", "503 deadline_exceeded")
    }
    why = ", ".join(f"{count} {name}" for name, count in wrong.items())
    yield Verdict("refused at once", not wrong, why or "answered or 503 with Retry-After")


def flat(name: str, mib_a_minute: float) -> Verdict:
    """Whether a service that is only used as it is meant to be stays as large as it is."""
    return Verdict(
        f"{name} flat", mib_a_minute <= _FLAT_MIB_A_MINUTE, f"{mib_a_minute:+.2f} MiB/min"
    )
