"""What never serves: a real server that cheats in every way that the framework names."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hawkvision.errors import RepositoryError
from hawkvision.updates.checks import computes_as_certified
from hawkvision.updates.client import Limits, UpdateClient
from hawkvision.updates.release import Release, Rollout
from tests.updates.damage import copied, mix_up
from tests.updates.publishing import (
    Answer,
    Cheat,
    Shop,
    client_of,
    copy_of,
    dripping,
    elsewhere,
    endless,
    fetch,
    flipped,
    instead,
    served,
    trusted,
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = Shop(tmp_path_factory.mktemp("shop"))
    shop.release("2")
    return shop


def refused(client: UpdateClient, into: Path) -> str:
    """Why nothing came, and that nothing did."""
    with pytest.raises(RepositoryError) as error:
        fetch(client, into)
    assert not list(into.glob("tiny/*/task.toml"))
    return str(error.value)


@pytest.mark.parametrize("end", ["edge.onnx", "task.toml", "calibration.npz", "release.json"])
def test_corrupt_files_do_not_serve(shop: Shop, tmp_path: Path, end: str) -> None:
    with served(shop.site, Cheat({end: flipped})) as url:
        said = refused(client_of(shop, url, tmp_path), tmp_path / "m")
    assert "not the one that was signed" in said
    with served(shop.site) as url:
        assert fetch(client_of(shop, url, tmp_path), tmp_path / "m").name == "2"


@pytest.mark.parametrize("role", ["root", "timestamp", "snapshot", "targets", "task-tiny"])
def test_metadata_without_signatures_does_not_serve(shop: Shop, tmp_path: Path, role: str) -> None:
    site = copy_of(shop.site, tmp_path / "site")
    root = shop.root
    for path in (site / "metadata").glob(f"*{role}.json"):
        body = orjson.loads(path.read_bytes())
        path.write_bytes(orjson.dumps({**body, "signatures": []}))
        root = path.read_bytes() if path.name == "1.root.json" else root
    with served(site) as url:
        said = refused(client_of(shop, url, tmp_path, root), tmp_path / "m")
    assert "not signed by" in said or "not the one that was signed" in said


def test_a_site_by_other_keys_does_not_serve(shop: Shop, tmp_path: Path) -> None:
    other = Shop(tmp_path / "other")
    other.release("3")
    with served(other.site) as url:
        said = refused(client_of(shop, url, tmp_path), tmp_path / "m")
    assert "not signed by the keys that the root names" in said


def test_a_root_by_fewer_keys_than_the_threshold_is_not_followed(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    shop.release("2")
    first = shop.root
    shop.publisher.rotate("timestamp", shop.now)
    path = shop.site / "metadata" / "2.root.json"
    body = orjson.loads(path.read_bytes())
    path.write_bytes(orjson.dumps({**body, "signatures": body["signatures"][:1]}))
    with served(shop.site) as url:
        said = refused(client_of(shop, url, tmp_path, first), tmp_path / "m")
    assert "not signed by" in said


def test_a_key_of_one_task_signs_for_no_other(tmp_path: Path) -> None:
    """The role of a task may name what it likes: only paths of its own task are asked of it."""
    shop = Shop(tmp_path / "shop")
    shop.release("2")
    with served(shop.site) as url, client_of(shop, url, tmp_path).look() as look:
        release = look.release("tiny")
        assert release is not None
        forged = Release("roadsigns", "9", release.released, release.files)
        with pytest.raises(RepositoryError, match="not signed as the release names it"):
            look.fetch(forged, tmp_path / "m", trusted)


def test_an_older_state_of_the_site_does_not_serve(tmp_path: Path) -> None:
    """Rollback."""
    shop = Shop(tmp_path / "shop")
    shop.release("2")
    old = copy_of(shop.site, tmp_path / "old")
    shop.release("3")
    with served(shop.site) as url:
        fetch(client_of(shop, url, tmp_path), tmp_path / "m")
    with served(old) as url:
        said = refused(client_of(shop, url, tmp_path), tmp_path / "again")
    assert "older than what was seen" in said


def test_an_expired_timestamp_does_not_serve(tmp_path: Path) -> None:
    """Freeze: the server goes on to show what was the newest once."""
    shop = Shop(tmp_path / "shop", back_s=2 * 86400)
    shop.release("2")
    with served(shop.site) as url:
        said = refused(client_of(shop, url, tmp_path), tmp_path / "m")
    assert "expired" in said
    shop.back_s = 0
    shop.publisher.publish(shop.now)
    with served(shop.site) as url:
        fetch(client_of(shop, url, tmp_path), tmp_path / "m")


def test_parts_of_two_states_do_not_serve(tmp_path: Path) -> None:
    """Mix and match: today's timestamp and snapshot with yesterday's task, and the reverse."""
    shop = Shop(tmp_path / "shop")
    shop.release("2")
    old = copy_of(shop.site, tmp_path / "old")
    shop.release("3")
    first = (old / "metadata" / "1.task-tiny.json").read_bytes()
    with served(shop.site, Cheat({"2.task-tiny.json": instead(first)})) as url:
        said = refused(client_of(shop, url, tmp_path), tmp_path / "m")
    assert "not the one that was signed" in said
    snapshot = (old / "metadata" / "2.snapshot.json").read_bytes()
    with served(shop.site, Cheat({"3.snapshot.json": instead(snapshot)})) as url:
        refused(client_of(shop, url, tmp_path / "new"), tmp_path / "m")


@pytest.mark.parametrize(
    "end", ["timestamp.json", "snapshot.json", "2.root.json", "task-tiny.json", "edge.onnx"]
)
def test_data_without_end_is_cut_off(shop: Shop, tmp_path: Path, end: str) -> None:
    with served(shop.site, Cheat({end: endless})) as url:
        said = refused(client_of(shop, url, tmp_path), tmp_path / "m")
    assert "larger than it may be" in said
    kept = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert kept < 2_000_000


def test_files_larger_than_signed_do_not_serve(shop: Shop, tmp_path: Path) -> None:
    with served(shop.site, Cheat({"edge.onnx": instead(b"x" * 1_000_000)})) as url:
        said = refused(client_of(shop, url, tmp_path), tmp_path / "m")
    assert "larger than it may be" in said


def test_a_server_that_drips_is_left(shop: Shop, tmp_path: Path) -> None:
    began = time.monotonic()
    with served(shop.site, Cheat({"timestamp.json": dripping})) as url:
        said = refused(client_of(shop, url, tmp_path), tmp_path / "m")
    assert "too slowly" in said
    assert time.monotonic() - began < 60


def test_a_server_that_falls_silent_is_left(shop: Shop, tmp_path: Path) -> None:
    def silent(handler: object, _found: bytes) -> None:
        time.sleep(3)

    with served(shop.site, Cheat({"timestamp.json": silent})) as url:
        assert "too slowly" in refused(client_of(shop, url, tmp_path), tmp_path / "m")


def test_no_redirection_is_followed(shop: Shop, tmp_path: Path) -> None:
    other = Cheat()
    with served(shop.site, other) as there:
        cheat = Cheat({"timestamp.json": elsewhere(f"{there}/metadata/timestamp.json")})
        with served(shop.site, cheat) as url:
            assert "302" in refused(client_of(shop, url, tmp_path), tmp_path / "m")
    assert other.seen == []


def test_a_version_that_answers_otherwise_than_certified_does_not_serve(tmp_path: Path) -> None:
    """Signed and undamaged, but its networks are not those that were certified."""
    shop = Shop(tmp_path / "shop")
    folder = copied(tmp_path / "signs", "9")
    mix_up(folder)
    shop.publisher.add(folder, Rollout(), shop.now, trusted)
    shop.publisher.publish(shop.now)
    with served(shop.site) as url, client_of(shop, url, tmp_path).look() as look:
        release = look.release("roadsigns")
        assert release is not None
        with pytest.raises(RepositoryError, match="answers to its reference images differ"):
            look.fetch(release, tmp_path / "m", computes_as_certified)
    assert not (tmp_path / "m" / "roadsigns").exists()


def test_a_version_larger_than_the_limit_is_not_begun(shop: Shop, tmp_path: Path) -> None:
    cheat = Cheat()
    with served(shop.site, cheat) as url:
        client = UpdateClient(url, shop.root, tmp_path / "state", Limits(version_bytes=1000))
        with pytest.raises(RepositoryError, match=r"has \d+ bytes"), client.look() as look:
            look.release("tiny")
    assert not any("/targets/tiny/2/" in path for path in cheat.seen)


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "a/b", "..", ""])
def test_names_that_leave_the_folder_are_refused(shop: Shop, name: str) -> None:
    body = orjson.loads(bytes(Release("tiny", "2", 0.0, (), Rollout())))
    file = {"name": "task.toml", "bytes": 1, "sha256": "0" * 64}
    for wrong in (
        {"files": [file, {**file, "name": name}]},
        {"files": [file], "task": name},
        {"files": [file], "version": name},
    ):
        with pytest.raises(RepositoryError, match="cannot be used"):
            Release.parse(orjson.dumps({**body, **wrong}))


json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*Rollout.__dataclass_fields__, "more"]), json))
def test_a_rollout_is_read_or_refused(raw: dict[str, object]) -> None:
    with contextlib.suppress(RepositoryError):
        found = Rollout.parse(raw)
        assert found.waves[-1].share == 1
        assert 0 < found.alpha <= 0.5


@given(st.binary(max_size=200) | json.map(lambda value: orjson.dumps(value, default=str)))
def test_a_release_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(RepositoryError):
        Release.parse(data)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_change_of_any_published_byte_serves_anything_else(
    shop: Shop, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever one byte of whatever file becomes: what is fetched is what was published, or not."""
    files = sorted(path for path in shop.site.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from([one for one in files if "root" not in one.name]))
    body = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 255))
    answer: Answer = instead(bytes(body))
    end = f"/{path.relative_to(shop.site).as_posix()}"
    folder = tmp_path_factory.mktemp("changed")
    with served(shop.site, Cheat({end: answer})) as url, contextlib.suppress(RepositoryError):
        found = fetch(client_of(shop, url, folder), folder / "m")
        original = shop.repository / "tiny" / "2"
        for path in original.iterdir():
            assert (found / path.name).read_bytes() == path.read_bytes()
