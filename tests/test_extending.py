"""The examples of docs/extending.md, as they stand there."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from hawkvision import extensions
from hawkvision.cascade import Accuracy, CascadePolicy
from hawkvision.cli.main import cli
from hawkvision.engines import ModelSpec, open_engine
from hawkvision.taskbuild.build import BuildRequest, Progress, build_task
from hawkvision.taskbuild.sources import ModelSource
from hawkvision.tracking.records import AppTarget
from hawkvision.tracking.store.registry import open_store
from tests.models import LABELS, classifier
from tests.taskbuild.strangers import photos

PAGE = Path(__file__).resolve().parents[1] / "docs" / "extending.md"
_BLOCK = re.compile(r"```\w+\n# (\S+)\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The page's files in a folder on the path, with the entry points that it declares."""
    folder = tmp_path_factory.mktemp("extending")
    files = dict(_BLOCK.findall(PAGE.read_text("utf-8")))
    groups = tomllib.loads(files["pyproject.toml"])["project"]["entry-points"]
    info = folder / "extending-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extending\nVersion: 1\n")
    lines = [
        f"[{group}]\n" + "\n".join(f"{name} = {value}" for name, value in entries.items())
        for group, entries in groups.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield files
    for name in files:
        sys.modules.pop(name.removesuffix(".py"), None)


def test_every_kind_of_extension_has_an_example(installed: dict[str, str]) -> None:
    groups = tomllib.loads(installed["pyproject.toml"])["project"]["entry-points"]
    outside = {extensions.ENGINES, extensions.KINDS, extensions.STORES, extensions.COMMANDS}
    assert set(groups) == outside
    assert {"my_engine.py", "my_kind.py", "my_store.py", "my_command.py", "my_route.py"} < set(
        installed
    )


def test_the_engine_answers() -> None:
    engine = open_engine(ModelSpec(Path("none")), name="mean")
    image = np.full((1, 3, 4, 4), 160, np.uint8)
    assert engine.infer(image)["logits"].tolist() == [[10, 10, 10]]
    assert engine.metadata.platform == "mean_none"


def test_the_kind_is_certified_by_its_own_loss(tmp_path: Path) -> None:
    for name, patch in (("edge", 9), ("dc", 32)):
        onnx.save(classifier(patch), tmp_path / f"{name}.onnx")
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    sources = tuple(
        ModelSource(tmp_path / f"{name}.onnx", labels=tmp_path / "labels.txt", fit="stretch")
        for name in ("edge", "dc")
    )
    request = BuildRequest("colours", sources, photos(300), kind="brightness", loss_levels=(0.0,))
    built = build_task(request, tmp_path / "out", Progress())
    thirds = {round(3 * float(loss)) for loss in np.unique(built.task.scores().rung_loss)}
    assert thirds <= {0, 1, 2, 3} and len(thirds) > 2
    policy = CascadePolicy(built.scores, 0.5)
    assert policy.resolve(Accuracy(policy.highest_certifiable)).threshold > 0
    assert built.task.kind.judge(built.task.kind.brief(_Third()), 0) == pytest.approx(2 / 3)


class _Third:
    class_id = 2


async def test_the_store_keeps_apps_and_notes_them() -> None:
    store = open_store("jotter://anywhere")
    await store.put_app(AppTarget("gate", "roadsigns", "0.9"))
    assert [app.app for app in await store.apps()] == ["gate"]
    assert store.noted == ["gate"]  # type: ignore[attr-defined]


def test_the_command_runs_and_reads_the_environment() -> None:
    run = CliRunner().invoke
    assert run(cli, ["hello"]).output == "hello world\n"
    assert run(cli, ["hello"], env={"HAWKVISION_HELLO_NAME": "you"}).output == "hello you\n"
