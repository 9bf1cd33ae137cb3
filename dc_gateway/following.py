"""New versions from a publisher: fetched, verified, and served at once. Waves are for agents."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dc_gateway.config import GatewayConfig
from dc_gateway.model import LargeModel
from hawkvision.errors import HawkVisionError, InvalidRequest
from hawkvision.repository import updatable
from hawkvision.serving.control import ModelControl

if TYPE_CHECKING:
    from hawkvision.repository.task import Task
    from hawkvision.updates.client import UpdateClient

_log = logging.getLogger(__name__)
FOLDER = ".updates"
"""In the model repository; no task can have such a name."""


def follower_of(config: GatewayConfig) -> Follower | None:
    """None where no updates are wanted. Raises InvalidRequest, RepositoryError."""
    if config.updates is None and config.updates_root is None:
        return None
    if config.updates is None or config.updates_root is None:
        raise InvalidRequest(
            "--updates and --updates-root go together",
            hint="The root is the publisher's metadata/root.json.",
        )
    try:
        from hawkvision.updates.client import UpdateClient
    except ModuleNotFoundError as error:
        raise InvalidRequest(
            f"--updates needs the module {error.name}, which is not installed",
            hint="pip install 'hawkvision[update]'.",
        ) from error
    try:
        root = config.updates_root.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{config.updates_root}: {error.strerror or error}") from error
    folder = updatable(config.model_repository) / FOLDER / "dc"
    return Follower(config, UpdateClient(config.updates, root, folder))


class Follower:
    """Looks every so often. What cannot be verified, or does not serve, changes nothing."""

    def __init__(self, config: GatewayConfig, client: UpdateClient) -> None:
        self._config = config
        self._client = client
        self._task: asyncio.Task[None] | None = None
        self._said = ""

    def start(self, models: Mapping[str, LargeModel], versions: ModelControl) -> None:
        """Begin to look, for what is served."""
        self._task = asyncio.create_task(self._follow(models, versions), name="updates")

    async def _follow(self, models: Mapping[str, LargeModel], versions: ModelControl) -> None:
        while True:
            try:
                taken = await asyncio.to_thread(self._take, list(models))
                for name in taken:
                    await versions.load(name)
            except HawkVisionError as error:
                self._say(str(error))
            except Exception:
                _log.exception("looking for updates failed, and goes on")
            await asyncio.sleep(self._config.updates_every_s)

    def _take(self, names: list[str]) -> list[str]:
        """On a thread: the tasks of which a newer version is in the repository now."""
        from hawkvision.updates.taking import take

        taken, fault = [], ""
        with self._client.look() as look:
            for name in names:
                try:
                    release = take(look, name, self._config.model_repository, self._check)
                except HawkVisionError as error:
                    fault = str(error)
                    self._say(fault)
                    continue
                if release is not None:
                    _log.info("update: task %s version %s is here", name, release.version)
                    taken.append(name)
        if not fault:
            self._said = ""
        return taken

    def _check(self, task: Task) -> None:
        from hawkvision.updates.checks import computes_as_certified

        computes_as_certified(task, self._config.engine)

    def _say(self, fault: str) -> None:
        """Once, until something else is wrong."""
        if fault != self._said:
            _log.warning("update: %s", fault)
        self._said = fault

    def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
