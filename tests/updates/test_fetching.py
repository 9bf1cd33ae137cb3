"""A release arrives whole and verified, from the one server that was named."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from hawkvision.errors import RepositoryError
from hawkvision.repository import Repository
from hawkvision.repository.task import Task
from hawkvision.updates.checks import computes_as_certified
from hawkvision.updates.keys import KeyRing
from hawkvision.updates.publisher import Publisher
from hawkvision.updates.release import Rollout, Wave
from hawkvision.updates.site import Site
from tests.updates.publishing import PASSPHRASE, Cheat, Shop, client_of, fetch, served, trusted


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = Shop(tmp_path_factory.mktemp("shop"))
    shop.release("2", Rollout(waves=(Wave(0.5, 60), Wave(1.0))))
    return shop


def test_a_release_is_fetched_whole(shop: Shop, tmp_path: Path) -> None:
    with served(shop.site) as url:
        client = client_of(shop, url, tmp_path)
        with client.look() as look:
            assert look.tasks() == ["tiny"]
            release = look.release("tiny")
            assert release is not None
            assert look.release("other") is None
            assert release.rollout.waves == (Wave(0.5, 60), Wave(1.0))
            folder = look.fetch(release, tmp_path / "models", computes_as_certified)
    assert folder == tmp_path / "models" / "tiny" / "2"
    names = {path.name for path in folder.iterdir()}
    assert names == {path.name for path in (shop.repository / "tiny" / "2").iterdir()}
    assert Repository(tmp_path / "models").open("tiny").version == "2"


def test_metadata_is_kept_and_files_that_are_here_are_not_fetched(
    shop: Shop, tmp_path: Path
) -> None:
    cheat = Cheat()
    with served(shop.site, cheat) as url:
        client = client_of(shop, url, tmp_path)
        with client.look() as look:
            release = look.release("tiny")
            assert release is not None
            look.fetch(release, tmp_path / "m", trusted, have=shop.repository / "tiny" / "1")
        assert [path for path in cheat.seen if "/targets/tiny/2/" in path] == []
        cheat.seen.clear()
        with client.look() as look:
            assert look.release("tiny") == release
    metadata = [path for path in cheat.seen if path.startswith("/metadata/")]
    assert metadata == ["/metadata/2.root.json", "/metadata/timestamp.json"]


def test_a_version_that_the_check_refuses_does_not_appear(shop: Shop, tmp_path: Path) -> None:
    def refuse(_task: Task) -> None:
        raise RepositoryError("not this one")

    with served(shop.site) as url, client_of(shop, url, tmp_path).look() as look:
        release = look.release("tiny")
        assert release is not None
        with pytest.raises(RepositoryError, match="not this one"):
            look.fetch(release, tmp_path / "models", refuse)
    assert not (tmp_path / "models" / "tiny" / "2").exists()


def test_agents_follow_new_keys_of_every_role(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    shop.release("2")
    with served(shop.site) as url:
        client = client_of(shop, url, tmp_path)
        for role in ("root", "targets", "snapshot", "timestamp", "task-tiny"):
            shop.publisher.rotate(role, shop.now)
            assert fetch(client, tmp_path / role).name == "2"
        assert fetch(client_of(shop, url, tmp_path / "new"), tmp_path / "n").name == "2"
        assert shop.site.joinpath("metadata", "5.root.json").is_file()


def test_publishing_needs_no_root_keys_and_rotating_does(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    for path in (tmp_path / "shop" / "keys").glob("root-*.pem"):
        path.unlink()
    shop.release("2")
    ring = KeyRing.open(tmp_path / "shop" / "keys", PASSPHRASE)
    with pytest.raises(RepositoryError, match="2 of the keys of 'root' are needed, and 0 are here"):
        Publisher(Site(shop.site), ring).rotate("timestamp", shop.now)
    with served(shop.site) as url:
        assert fetch(client_of(shop, url, tmp_path), tmp_path / "m").name == "2"


def test_a_wrong_passphrase_opens_no_key(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    ring = KeyRing.open(tmp_path / "shop" / "keys", b"another passphrase")
    with pytest.raises(RepositoryError, match="cannot be used"):
        Publisher(Site(shop.site), ring).publish(shop.now)
    keys = list((tmp_path / "shop" / "keys").glob("*.pem"))
    assert keys
    assert all(b"BEGIN ENCRYPTED PRIVATE KEY" in path.read_bytes() for path in keys)
    assert all(path.stat().st_mode & 0o077 == 0 for path in keys)


def test_a_publisher_signs_nothing_that_is_damaged_or_no_newer(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    shop.release("2")
    with pytest.raises(RepositoryError, match="not newer than 2"):
        shop.release("1.9")
    with pytest.raises(RepositoryError, match="does not match its digest"):
        shop.release("3", edge__onnx=b"damaged")
    shop.release("2.1")


def test_what_is_half_expired_is_signed_anew(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    shop.release("2")
    assert Site(shop.site).newest("task-tiny") == 1
    shop.publisher.publish(shop.now + timedelta(days=30))
    assert Site(shop.site).newest("task-tiny") == 1
    shop.publisher.publish(shop.now + timedelta(days=50))
    assert Site(shop.site).newest("task-tiny") == 2


def test_a_name_and_password_go_to_the_server_and_into_no_message(
    shop: Shop, tmp_path: Path
) -> None:
    shutil.copytree(shop.site, tmp_path / "site")
    (tmp_path / "site" / "metadata" / "timestamp.json").write_bytes(b"{}")
    with served(tmp_path / "site") as url:
        secret = url.replace("http://", "http://me:secret@")
        client = client_of(shop, secret, tmp_path)
        with pytest.raises(RepositoryError) as refused, client.look():
            pass
    assert "secret" not in str(refused.value) + refused.value.hint
