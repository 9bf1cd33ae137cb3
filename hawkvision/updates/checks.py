"""What a fetched version must show beyond its digests: that it computes what was certified."""

from __future__ import annotations

from hawkvision.engines import flavour_of
from hawkvision.errors import RepositoryError
from hawkvision.repository.task import Task
from hawkvision.rungs import LoadedRung


def computes_as_certified(task: Task, engine: str = "onnx", rungs: int | None = None) -> None:
    """Run the first `rungs` (None: all) of a version over its reference images.

    Raises RepositoryError where the answers are not the certified ones, EngineError where the
    engine cannot run them.
    """
    task = task.as_flavour(flavour_of(engine))
    for rung in task.rungs[:rungs]:
        reference = task.reference(rung.name)
        loaded = LoadedRung.open(rung, task.kind, engine=engine, reference=reference)
        loaded.close()
        found = loaded.agreement
        if not found.agree:
            raise RepositoryError(
                f"{task.name}/{task.version}, rung {rung.name!r}: answers to its reference images "
                f"differ by {found.deviation:.3g}, and {found.tolerance:.3g} is tolerated",
                hint="Certify it with this engine: hawkvision calibrate --engine.",
            )
