"""What the agent says about itself and its tasks."""

from __future__ import annotations

from edge_agent.http.tensors import output_specs
from edge_agent.local import LocalTask
from hawkvision.calibration import shown
from hawkvision.contract.task import RungInfo, TaskInfo
from hawkvision.engines import Measuring
from hawkvision.oip.description import ModelDescription


def describe_task(local: LocalTask) -> TaskInfo:
    """A task: its labels, and which accuracy targets it can certify."""
    task, curve, engine = local.task, local.policy.curve, local.engine
    certificate = None
    if task.numerics is not None:
        certificate = {**task.numerics.as_dict(), **local.rung.agreement.as_dict()}
    return TaskInfo(
        name=task.name,
        version=task.version,
        labels=tuple(task.labels),
        aliases=dict(task.aliases),
        default_accuracy=local.policy.default_accuracy,
        highest_certifiable=shown.floored(local.policy.highest_certifiable),
        description=task.description,
        kind=task.kind.name,
        tiers=tuple(task.tiers),
        delta=curve.delta,
        calibration_images=curve.images,
        engine={
            **local.rung.running(),
            "measured": engine.measured() if isinstance(engine, Measuring) else {},
        },
        certificate=certificate,
        rungs=tuple(
            RungInfo(
                rung.name,
                rung.model.precision,
                (3, rung.geometry.height, rung.geometry.width),
                resident=place <= len(local.above),
            )
            for place, rung in enumerate(task.rungs)
        ),
        settings={
            key: value
            for key, value in task.kind.as_table().items()
            if key not in ("labels", "aliases")
        },
    )


def model_of(local: LocalTask) -> ModelDescription:
    """A task as a model of the Open Inference Protocol: encoded images in, answers out."""
    task = local.task
    return ModelDescription(
        task.name, task.version, "hawkvision_cascade", tuple(output_specs(task.kind))
    )
