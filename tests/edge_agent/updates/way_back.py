"""How long a worse version serves: `python -m tests.edge_agent.updates.way_back`.

Half of its edge's classes are named wrongly. One client asks without a pause and labels every
answer; a tenth of the requests is compared, as it is by default.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from hawkvision.updates.release import Rollout
from tests.edge_agent.updates.rolling import rollouts, signs, traffic, until, updating
from tests.updates.damage import certify_wrongly, copied, mix_up
from tests.updates.publishing import Shop, served

RUNS = 5


async def run(folder: Path) -> tuple[float, int, int]:
    """Seconds, requests and pairs from when the worse version serves until it does not."""
    shop = Shop(folder / "shop")
    models = copied(folder / "models", "2").parent.parent
    worse = copied(folder / "worse", "3")
    mix_up(worse)
    certify_wrongly(worse)
    shop.show(worse, replace(Rollout(), first_pairs=1))
    images = signs()
    next(images)
    with served(shop.site) as url:
        async with updating(models, url, shop.root) as agent:
            async with traffic(agent, images, accuracy=0.5, pause_s=0.1):
                await until(lambda: agent.tasks["roadsigns"].version == "3")
                trial = rollouts(agent).active["roadsigns"].trial
                assert trial is not None
            began, before = time.monotonic(), trial.evidence.pairs
            async with traffic(agent, images, accuracy=0.5, pause_s=0) as seen:
                await until(lambda: agent.tasks["roadsigns"].version == "2")
                took, requests = time.monotonic() - began, len(seen.right)
            assert seen.failed == []
            return took, requests, trial.evidence.pairs - before


def main() -> None:
    """Medians, and the longest."""
    runs = []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(asyncio.run(run(Path(folder))))
    times = [took for took, _, _ in runs]
    print(
        f"{RUNS} runs: back after {median(times):.2f} s (longest {max(times):.2f}), "
        f"{median(requests for _, requests, _ in runs):g} requests, "
        f"{median(pairs for _, _, pairs in runs):g} of them compared"
    )


if __name__ == "__main__":
    main()
