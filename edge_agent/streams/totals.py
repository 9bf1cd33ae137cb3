"""What became of all frames, packets and streams of an agent, ended ones too, for its metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from hawkvision.contract.stream import PacketCounts


@dataclass
class StreamTotals:
    """Counts since the agent started, by names of ours, so that nobody can make up new ones.

    `frames` by what became of them: `answered`, `damaged` (of these), `resend`, or the code of the
    error; `ended` streams by reason; `packets` of ended streams by what became of them; `advice`
    how often there was a reason for each, told or not.
    """

    frames: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    packets: Counter[str] = field(default_factory=Counter)
    advice: Counter[str] = field(default_factory=Counter)

    def end(self, reason: str, packets: PacketCounts) -> None:
        """A stream ended; what it counted is kept."""
        self.ended[reason] += 1
        self.packets.update(asdict(packets))

    def with_living(self, streams: Iterable[PacketCounts]) -> Mapping[str, int]:
        """Packets of ended and of living streams."""
        total = Counter(self.packets)
        for packets in streams:
            total.update(asdict(packets))
        return total
