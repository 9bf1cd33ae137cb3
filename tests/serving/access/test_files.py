"""The file on disk: whole or not at all, for its owner alone, and watched."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

from hawkvision.cli.keys import command
from hawkvision.errors import HawkVisionError, Unauthorized
from hawkvision.serving.access.files import KeyWatch, mark_of, read_keys, store_keys
from hawkvision.serving.access.keyfile import KeyFile, digest_of, parse_keys
from hawkvision.serving.access.ring import KeyRing
from hawkvision.serving.access.scopes import Scope


def run(*words: str) -> str:
    done = CliRunner().invoke(command, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def create(path: Path, name: str, *more: str) -> str:
    return run("create", name, "--file", str(path), "--scope", "read", *more).strip()


def test_a_key_is_printed_once_and_its_hash_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    made = create(path, "cam", "--app", "gate", "--rate", "5", "--days", "30")
    assert path.stat().st_mode & 0o777 == 0o600
    (key,) = read_keys(path).keys
    assert key.digest == digest_of(made) and key.apps == frozenset({"gate"})
    assert key.rate is not None and (key.rate.per_s, key.rate.burst) == (5.0, 5.0)
    assert key.expires_s is not None and key.created_s is not None
    assert made not in path.read_text() and made not in run("list", "--file", str(path))
    assert [one.name for one in tmp_path.iterdir()] == ["keys.toml"]


def test_revoked_keys_open_nothing_and_can_be_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    made = create(path, "cam")
    run("revoke", "cam", "--file", str(path))
    with pytest.raises(Unauthorized, match="revoked"):
        KeyRing(read_keys(path)).admit(made, Scope.READ, wall_s=0, now=0)
    assert "revoked" in run("list", "--file", str(path))
    run("revoke", "cam", "--forget", "--file", str(path))
    assert read_keys(path) == KeyFile()


def test_what_nobody_needs_a_key_for_is_said_in_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    create(path, "cam")
    run("anonymous", "--file", str(path), "--scope", "classify", "--rate", "3")
    found = read_keys(path)
    assert found.anonymous == {Scope.CLASSIFY} and len(found.keys) == 1
    run("anonymous", "--file", str(path))
    assert read_keys(path).anonymous == frozenset()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "cam", "--scope", "read"), "has a key 'cam' already"),
        (("create", "a b", "--scope", "read"), "no id"),
        (("create", "b", "--scope", "read", "--app", "a b"), "no name of an app"),
        (("revoke", "other"), "has no key 'other'"),
    ],
)
def test_what_cannot_be_leaves_the_file_as_it_was(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    path = tmp_path / "keys.toml"
    create(path, "cam")
    before = path.read_bytes()
    with pytest.raises(HawkVisionError, match=said):
        CliRunner().invoke(command, [*words, "--file", str(path)], catch_exceptions=False)
    assert path.read_bytes() == before


def test_a_file_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(HawkVisionError, match="cannot be written"):
        store_keys(tmp_path / "none" / "keys.toml", KeyFile())


def test_who_creates_at_the_same_time_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    words = [["create", f"k{index}", "--file", str(path), "--scope", "read"] for index in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda one: command.main(one, standalone_mode=False), words))
    assert len(read_keys(path).keys) == 12


def test_a_changed_file_takes_over_and_a_broken_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    create(path, "old")
    seen, ring = mark_of(path), KeyRing(read_keys(path))
    told: list[tuple[bool, str]] = []
    watch = KeyWatch(path, parse_keys, ring, lambda taken, said: told.append((taken, said)), seen)
    watch.look()
    assert told == []
    made = create(path, "new")
    watch.look()
    assert ring.admit(made, Scope.READ, wall_s=0, now=0).key == "new"
    path.write_text("[[key")
    watch.look()
    watch.look()
    assert ring.admit(made, Scope.READ, wall_s=0, now=0).key == "new"
    path.unlink()
    watch.look()
    assert ring.admit(made, Scope.READ, wall_s=0, now=0).key == "new"
    assert [taken for taken, _ in told] == [True, False, False]
    assert all(made not in said for _, said in told)
