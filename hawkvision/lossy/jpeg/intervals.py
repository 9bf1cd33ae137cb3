"""Where the restart intervals that arrived belong.

Senders that follow RFC 2435, section 3.1.7 say so in their packets. Stock ones (GStreamer, FFmpeg)
number restart markers modulo 8 only, and tell receivers to reassemble the whole frame; decoding
what arrived deviates from that on purpose. Their runs of bytes are placed by what is known
exactly (the marker's number, the byte offsets, the frame's ends) and by how many bytes an interval
takes: the position of a run is accepted where its posterior probability leaves no doubt, else the
run counts as lost, because a misplaced stripe is worse than a hole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import islice

from hawkvision.lossy.jpeg.layout import Layout
from hawkvision.lossy.jpeg.scan import END, RESTART
from hawkvision.lossy.wire.rtpjpeg import JpegFragment

_LAPS = 8
_MOST_STATES = 8
_CERTAIN = 0.999
_COMMON_SPREAD = 0.3
"""How far intervals that lie together differ from the frame's mean, as a share of it."""

_OUTLIER = math.log(1e-5)


@dataclass(frozen=True, slots=True)
class Run:
    """Contiguous bytes: `segments` between its restart markers, whose numbers are `markers`.

    `at` are the offsets in the frame where each segment after a marker begins. `base` is the
    interval of the first segment where that is known.
    """

    segments: list[bytes]
    markers: list[int]
    at: list[int]
    starts_whole: bool
    ends_whole: bool
    base: int | None

    @property
    def consistent(self) -> bool:
        """Whether the markers count upward modulo 8, and from `base` where it is known."""
        first = self.markers[0] if self.base is None and self.markers else self.base or 0
        return all(number == (first + index) % 8 for index, number in enumerate(self.markers))


@dataclass(frozen=True)
class Intervals:
    """`pieces[i]` is the i-th interval's bytes, None where it is lost."""

    pieces: list[bytes | None]
    unplaced: int = 0
    mean_bytes: float | None = None


@dataclass(slots=True)
class _Stage:
    """A run between its first and last marker: `span` intervals from byte `head` to `tail`."""

    head: int
    tail: int
    span: int
    residue: int = 0
    exact: int | None = None
    states: dict[int, float] = field(default_factory=dict)


def runs_of(fragments: list[JpegFragment], size: int | None, most: int) -> list[Run]:
    """Join fragments (sorted by offset, not overlapping) to runs of at most `most` segments."""
    runs = []
    start = 0
    for index in range(1, len(fragments) + 1):
        before = fragments[index - 1]
        if index == len(fragments) or fragments[index].offset != before.offset + len(before.data):
            runs.append(_run(fragments[start:index], size, most))
            start = index
    return runs


def _run(fragments: list[JpegFragment], size: int | None, most: int) -> Run:
    data = b"".join(fragment.data for fragment in fragments)
    offset, last = fragments[0].offset, fragments[-1]
    final = size is not None and offset + len(data) == size
    if final and (end := data.find(END, max(0, len(data) - 64))) >= 0:
        data = data[:end]
    found = list(islice(RESTART.finditer(data), most))
    edges = [0, *(match.end() for match in found)]
    ends = [*(match.start() for match in found), len(data)]
    base = 0 if offset == 0 else None
    place = 0
    for fragment in fragments:
        if base is None and _begins(fragment) and place in edges:
            base = (fragment.start or 0) - edges.index(place)
        place += len(fragment.data)
    return Run(
        segments=[data[a:b] for a, b in zip(edges, ends, strict=True)],
        markers=[data[match.end() - 1] & 7 for match in found],
        at=[offset + match.end() for match in found],
        starts_whole=offset == 0 or _begins(fragments[0]),
        ends_whole=final or (last.last and last.layout.interval > 0 and _aligned(fragments)),
        base=base,
    )


def _begins(fragment: JpegFragment) -> bool:
    """Whether a restart interval begins here, and it is known which."""
    return fragment.first and fragment.start is not None


def _aligned(fragments: list[JpegFragment]) -> bool:
    return any(fragment.start is not None for fragment in fragments)


def collect(
    runs: list[Run], size: int | None, layout: Layout, mean_bytes: float | None = None
) -> Intervals:
    """Put the segments of all runs in their places.

    `mean_bytes` is what an interval of this stream took before, for frames that do not say.
    """
    total = layout.intervals
    pieces: list[bytes | None] = [None] * total
    trusted = [run for run in runs if run.consistent]
    mean, spread = _sizes(trusted, size, total, mean_bytes)
    unplaced = sum(len(run.segments) for run in runs if not run.consistent)
    for run in _placed(trusted, size, total, mean, spread):
        first = 0 if run.starts_whole else 1
        last = len(run.segments) - (0 if run.ends_whole else 1)
        if run.base is None:
            unplaced += max(0, last - first)
            continue
        for index in range(first, last):
            place = run.base + index
            if 0 <= place < total and run.segments[index]:
                pieces[place] = run.segments[index]
    return Intervals(pieces, unplaced, mean)


def _sizes(
    runs: list[Run], size: int | None, total: int, hint: float | None
) -> tuple[float | None, float]:
    """Mean bytes of an interval with its marker, and the coefficient of variation."""
    whole = [len(part) + 2 for run in runs for part in run.segments[1:-1]]
    mean = size / total if size else (sum(whole) / len(whole) if len(whole) > 1 else hint)
    if mean is None or len(whole) < 4:
        return mean, 0.5
    centre = sum(whole) / len(whole)
    variance = sum((value - centre) ** 2 for value in whole) / len(whole)
    return mean, max(0.3, math.sqrt(variance) / centre)


def _placed(
    runs: list[Run], size: int | None, total: int, mean: float | None, spread: float
) -> list[Run]:
    """The runs, with a base wherever there is no doubt about it."""
    if all(run.base is not None or not run.markers for run in runs) or mean is None:
        return runs
    stages = [_Stage(0, 0, 0, exact=0)]
    where: list[int | None] = []
    for run in runs:
        where.append(len(stages) if run.markers else None)
        if run.markers:
            stages.append(
                _Stage(
                    run.at[0],
                    run.at[-1],
                    len(run.markers) - 1,
                    (run.markers[0] + 1) % _LAPS,
                    None if run.base is None else run.base + 1,
                )
            )
    if size is not None and stages[-1].tail < size:
        stages.append(_Stage(size, size, 0, exact=total))
    posteriors = _posteriors(stages, total, mean, spread)
    placed = []
    for run, stage in zip(runs, where, strict=True):
        if run.base is not None or stage is None:
            placed.append(run)
            continue
        best, chance = max(posteriors[stage].items(), key=lambda item: item[1], default=(0, 0.0))
        placed.append(replace(run, base=best - 1 if chance >= _CERTAIN else None))
    return placed


def _posteriors(
    stages: list[_Stage], total: int, mean: float, spread: float
) -> list[dict[int, float]]:
    """Forward and backward over the candidate positions of every run's first marker."""
    forward: list[dict[int, float]] = []
    for index, stage in enumerate(stages):
        if index == 0:
            forward.append({0: 0.0})
            continue
        before = stages[index - 1]
        reached: dict[int, float] = {}
        for position, chance in forward[-1].items():
            end = position + before.span
            for step, score in _steps(stage.head - before.tail, end, stage, total, mean, spread):
                reached[end + step] = _add(reached.get(end + step), chance + score)
        forward.append(_pruned(reached))
    backward: list[dict[int, float]] = [{} for _ in stages]
    backward[-1] = dict.fromkeys(forward[-1], 0.0)
    for index in range(len(stages) - 2, -1, -1):
        stage, after = stages[index], stages[index + 1]
        gap = after.head - stage.tail
        for position in forward[index]:
            end = position + stage.span
            for later, chance in backward[index + 1].items():
                if later > end:
                    score = chance + _score(gap, later - end, mean, spread)
                    backward[index][position] = _add(backward[index].get(position), score)
    return [
        _normalised({p: f + b[p] for p, f in ahead.items() if p in b})
        for ahead, b in zip(forward, backward, strict=True)
    ]


def _steps(
    gap: int, end: int, stage: _Stage, total: int, mean: float, spread: float
) -> list[tuple[int, float]]:
    """How many intervals may lie in a gap, and how likely each number is."""
    if stage.exact is not None:
        step = stage.exact - end
        return [(step, _score(gap, step, mean, spread))] if step > 0 else []
    most = min(total - end, int(5 * gap / mean) + _LAPS)
    least = (stage.residue - end) % _LAPS or _LAPS
    near = max(least, int(gap / mean) - 3 * _LAPS)
    near += (least - near) % _LAPS
    return [
        (step, _score(gap, step, mean, spread))
        for step in range(near, min(most, near + 7 * _LAPS) + 1, _LAPS)
    ]


def _score(gap: int, step: int, mean: float, spread: float) -> float:
    """Log density (lognormal, but for a constant) of `gap` bytes for `step` intervals.

    It has a floor for what no model foresees.
    """
    deviation = math.sqrt(spread**2 / step + _COMMON_SPREAD**2)
    z = math.log(max(1, gap) / (step * mean)) / deviation
    return max(-0.5 * z * z, _OUTLIER) - math.log(deviation)


def _add(one: float | None, other: float) -> float:
    if one is None:
        return other
    high, low = max(one, other), min(one, other)
    return high + math.log1p(math.exp(low - high))


def _pruned(states: dict[int, float]) -> dict[int, float]:
    best = sorted(states.items(), key=lambda item: -item[1])[:_MOST_STATES]
    top = best[0][1] if best else 0.0
    return {position: chance - top for position, chance in best}


def _normalised(states: dict[int, float]) -> dict[int, float]:
    if not states:
        return {}
    top = max(states.values())
    raw = {position: math.exp(chance - top) for position, chance in states.items()}
    whole = sum(raw.values())
    return {position: value / whole for position, value in raw.items()}
