"""Load what a gateway serves: in this process, or in worker processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dc_gateway.config import GatewayConfig
from dc_gateway.model import LargeModel, held_names, load_models, wanted_tasks
from dc_gateway.upstreams.processes import load_in_processes
from hawkvision.engines import flavour_of
from hawkvision.repository import Repository, Task
from hawkvision.serving.catalog import Found


def load_all(config: GatewayConfig) -> dict[str, LargeModel]:
    """Every task that is to be held here, by name. Raises HawkVisionError."""
    return load(config, wanted_tasks(config))


def load(config: GatewayConfig, tasks: Mapping[str, Task]) -> dict[str, LargeModel]:
    """These tasks. Raises HawkVisionError."""
    return load_in_processes(config, tasks) if config.processes else load_models(config, tasks)


class ModelSource:
    """The versions that a gateway with these settings may serve; see `serving.reloading.Source`."""

    def __init__(self, config: GatewayConfig) -> None:
        self._config = config

    def names(self) -> list[str]:
        """The tasks to be served. Raises RepositoryError."""
        return held_names(self._config, self._repository())

    def versions(self, name: str) -> Sequence[Found]:
        """What lies there, newest first; of a task that is not to be served nothing."""
        named = self._config.tasks
        if (named or self._config.upstreams) and name not in named:
            return []
        return self._repository().stamps(name)

    def load(self, name: str, version: str) -> LargeModel:
        """Check every file's digest and open the rungs, in processes of their own where others are.

        Raises HawkVisionError.
        """
        task = self._repository().good(name, version, flavour=flavour_of(self._config.engine))
        return load(self._config, {name: task})[name]

    def _repository(self) -> Repository:
        return Repository(self._config.model_repository)
