"""What Prometheus is told of updates; read when it is scraped."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge_agent.updates.halts import Halts
from edge_agent.updates.rollouts import Rollouts


class UpdateCollector(Collector):
    """Of one agent. A version that has ended is shown by `hawkvision_task_version` alone."""

    def __init__(self, rollouts: Rollouts, halts: Halts) -> None:
        self._rollouts = rollouts
        self._halts = halts

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        phase = GaugeMetricFamily(
            "hawkvision_update_phase",
            "1 for each version that is on its way to serve here, by its phase and wave.",
            labels=["task", "version", "phase", "wave"],
        )
        pairs = GaugeMetricFamily(
            "hawkvision_update_pairs",
            "Requests that the old and the new version answered, by what was found.",
            labels=["task", "version", "what"],
        )
        doubt = GaugeMetricFamily(
            "hawkvision_update_p",
            "P-values, good at any time, of: it is no worse, it is worse by epsilon, no slower.",
            labels=["task", "version", "hypothesis"],
        )
        for name, one in list(self._rollouts.active.items()):
            version, course = one.release.version, one.course
            phase.add_metric([name, version, str(course.phase), str(course.wave + 1)], 1)
            if one.trial is None:
                continue
            found = one.trial.evidence
            for what in ("pairs", "worse", "better", "unjudged"):
                pairs.add_metric([name, version, what], getattr(found, what))
            for what, value in (
                ("no_worse", found.p_worse),
                ("worse_by_epsilon", found.p_unsafe),
                ("no_slower", found.p_slower),
            ):
                doubt.add_metric([name, version, what], value)
        ended = CounterMetricFamily(
            "hawkvision_updates",
            "Versions that ended their rollout here, or were left later.",
            labels=["result"],
        )
        looks = CounterMetricFamily(
            "hawkvision_update_looks", "Looks for releases, by result.", labels=["result"]
        )
        left = {"left": self._halts.left}
        for family, counts in ((ended, self._rollouts.ended | left), (looks, self._rollouts.looks)):
            for result, count in counts.items():
                family.add_metric([result], count)
        yield from (phase, pairs, doubt, ended, looks)
