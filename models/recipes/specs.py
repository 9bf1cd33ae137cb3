"""What is trained: one `Recipe` per task and rung."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.recipes.augment import Augmentation
from models.recipes.nets import NetSpec


@dataclass(frozen=True)
class Distillation:
    """Learn from a trained rung of the same task, which sees each view undamaged.

    Loss: `weight` * T^2 * KL(teacher || student) at temperature T, the rest on the labels
    (Hinton et al., arXiv 1503.02531; consistent views after Beyer et al., arXiv 2106.05237).
    """

    teacher: str
    weight: float = 0.8
    temperature: float = 2.0


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of one rung; the learning rate follows elapsed time over the budget.

    `sizes` are (from this share of the budget, side in px); `input_size` is what the exported
    model takes.
    """

    task: str
    rung: str
    net: NetSpec
    input_size: int
    sizes: tuple[tuple[float, int], ...]
    learning_rate: float
    weight_decay: float
    batch_size: int = 64
    label_smoothing: float = 0.0
    mixup: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    distillation: Distillation | None = None
    seed: int = 20261121


RECIPES: dict[tuple[str, str], Recipe] = {
    (recipe.task, recipe.rung): recipe
    for recipe in (
        Recipe(
            "imagenette",
            "tiny",
            NetSpec(12, (12, 24, 44, 72), (1, 1, 1, 1)),
            input_size=96,
            sizes=((0.0, 80), (0.4, 96)),
            learning_rate=0.2,
            weight_decay=5e-5,
            augmentation=Augmentation(min_area=0.4, damage=0.2),
            distillation=Distillation("medium"),
        ),
        Recipe(
            "imagenette",
            "edge",
            NetSpec(16, (16, 32, 64, 112), (1, 2, 2, 1)),
            input_size=128,
            sizes=((0.0, 112), (0.4, 128)),
            learning_rate=0.15,
            weight_decay=1e-4,
            mixup=0.2,
            augmentation=Augmentation(min_area=0.35, damage=0.2),
            distillation=Distillation("dc"),
        ),
        Recipe(
            "imagenette",
            "medium",
            NetSpec(24, (32, 64, 128, 208), (2, 2, 2, 2)),
            input_size=160,
            sizes=((0.0, 96), (0.5, 128), (0.9, 144)),
            learning_rate=0.15,
            weight_decay=2e-4,
            mixup=0.2,
            augmentation=Augmentation(min_area=0.35, damage=0.2),
            distillation=Distillation("dc"),
        ),
        Recipe(
            "imagenette",
            "dc",
            NetSpec(32, (64, 128, 256, 512), (2, 2, 2, 2), dropout=0.2),
            input_size=160,
            sizes=((0.0, 96), (0.5, 128), (0.9, 144)),
            learning_rate=0.12,
            weight_decay=5e-4,
            label_smoothing=0.1,
            mixup=0.2,
            augmentation=Augmentation(min_area=0.3, damage=0.2),
        ),
        Recipe(
            "roadsigns",
            "edge",
            NetSpec(8, (12, 24, 32, 48), (1, 1, 1, 1)),
            input_size=40,
            sizes=((0.0, 40),),
            learning_rate=0.15,
            weight_decay=1e-4,
            augmentation=Augmentation(min_area=0.8, max_aspect=1.1, flip=False, damage=0.1),
        ),
        Recipe(
            "roadsigns",
            "dc",
            NetSpec(24, (40, 80, 160, 224), (1, 2, 2, 1)),
            input_size=96,
            sizes=((0.0, 80), (0.4, 96)),
            learning_rate=0.1,
            weight_decay=3e-4,
            augmentation=Augmentation(min_area=0.7, max_aspect=1.1, flip=False, damage=0.1),
        ),
    )
}
