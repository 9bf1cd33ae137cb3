"""Updates put together, for an agent that was given an address of releases."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from edge_agent.chain import Chain
from edge_agent.config import EdgeConfig
from edge_agent.fleet.fleet import Fleet
from edge_agent.fleet.jobs import Jobs
from edge_agent.local import LocalTask
from edge_agent.metrics import AgentMetrics
from edge_agent.updates.fleet import UpdatingFleet
from edge_agent.updates.halts import EVERY_S, Halts, parse_pins
from edge_agent.updates.rollouts import Rollouts
from edge_agent.updates.shadow import Shadow
from edge_agent.updates.shown import UpdateCollector
from edge_agent.updates.source import TrialSource
from edge_agent.updates.state import UpdateState
from hawkvision.errors import InvalidRequest
from hawkvision.repository import updatable
from hawkvision.serving.catalog import Catalog
from hawkvision.serving.control import ModelControl
from hawkvision.serving.pool import WorkerPool
from hawkvision.serving.reloading import Reloader, Source
from hawkvision.tracking.store.registry import ALONE
from hawkvision.updates.client import UpdateClient
from hawkvision.updates.verdict import Verdict

_log = logging.getLogger(__name__)
FOLDER = ".updates"
"""In the model repository; no task can have such a name."""

_STEP_S = 0.5
_KEPT = 2
"""Versions of a task: the one that serves, and the one that it may go back to."""

_GRACE_S = 60.0
_LOOKS = 2.0
"""After so many looks everybody has seen a release."""


class Parts(Protocol):
    """What an agent is made of, as far as updates touch it."""

    catalog: Catalog[LocalTask]
    versions: Reloader[LocalTask]
    pool: WorkerPool
    chain: Chain
    fleet: Fleet
    jobs: Jobs
    metrics: AgentMetrics


class Updates:
    """Of one agent, or of the first of several workers. Raises RepositoryError, InvalidRequest.

    `opened` opens a version's folder with so many rungs, every digest checked.
    """

    fleet = UpdatingFleet

    def __init__(self, config: EdgeConfig, opened: Callable[[Path, int], LocalTask]) -> None:
        if config.updates is None or config.updates_root is None:
            raise InvalidRequest(
                "--updates and --updates-root go together",
                hint="The root is the publisher's metadata/root.json.",
            )
        self._config = config
        self._pins = parse_pins(config.updates_pin)
        folder = updatable(config.model_repository) / FOLDER / "edge"
        try:
            root = config.updates_root.read_bytes()
        except OSError as error:
            raise InvalidRequest(f"{config.updates_root}: {error.strerror or error}") from error
        self._client = UpdateClient(config.updates, root, folder)
        self._state = UpdateState(folder)
        self._opened = opened
        self._source: TrialSource | None = None
        self._wake = asyncio.Event()
        self.rollouts: Rollouts | None = None
        self.halts: Halts | None = None
        self.shadow: Shadow | None = None

    def catalog(self) -> Catalog[LocalTask]:
        """One that keeps the version that a trial may go back to."""
        return Catalog[LocalTask](_KEPT, _GRACE_S)

    def over(self, source: Source[LocalTask]) -> TrialSource:
        """The repository's versions, and those on trial."""
        self._source = TrialSource(source)
        return self._source

    def start(self, agent: Parts, control: ModelControl) -> None:
        """Begin to look for releases. `control` is that of all workers of the service."""
        assert self._source is not None and isinstance(agent.fleet, UpdatingFleet)
        fleet, config, source = agent.fleet, self._config, self._source
        self.shadow = Shadow(
            agent.pool,
            agent.chain,
            agent.chain.aside,
            agent.jobs.start,
            fleet.receipt,
            self._notice,
        )
        fleet.shadow = self.shadow
        fleet.only_vouched = (config.app_keys or config.keys) is not None

        def load(folder: Path) -> LocalTask:
            serving = agent.catalog.serving.get(folder.parent.name)
            return self._opened(folder, 1 if serving is None else len(serving.rungs))

        self.rollouts = Rollouts(
            self._state,
            self._client,
            config.model_repository,
            agent.catalog,
            source,
            self.shadow,
            agent.pool,
            fleet.store,
            agent.versions,
            control,
            load,
            0.0 if config.store in ALONE else _LOOKS * config.updates_every_s,
            self._pins,
        )
        self.halts = Halts(
            self._state,
            config.model_repository,
            agent.catalog,
            fleet.store,
            control,
            self._pins,
            self.rollouts.on_trial,
        )
        agent.metrics.registry.register(UpdateCollector(self.rollouts, self.halts))
        agent.jobs.repeat("halts", self.halts.look, EVERY_S)
        agent.jobs.repeat("updates", self.rollouts.look, config.updates_every_s)
        agent.jobs.repeat("rollouts", self.rollouts.step, _STEP_S, self._wake)

    def _notice(self) -> None:
        """Go back at once where a version is found to be worse."""
        assert self.shadow is not None
        bad = (Verdict.WORSE, Verdict.SLOWER)
        if any(trial.verdict in bad for trial in self.shadow.trials.values()):
            self._wake.set()

    def close(self) -> None:
        """Let another agent have the folder."""
        if self.rollouts is not None:
            self.rollouts.close()
        self._state.close()
