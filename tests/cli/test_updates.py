"""`hawkvision updates` and `models verify --signature`, as they are typed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from hawkvision.cli.models import command as models
from hawkvision.cli.up import command as up
from hawkvision.cli.updates import command as updates
from hawkvision.errors import HawkVisionError, InvalidRequest
from hawkvision.repository import shipped_repository
from hawkvision.updates import signatures
from tests.models import add_version, build_tiny_repository
from tests.updates.publishing import served


def run(*words: object, command: object = updates) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words])  # type: ignore[arg-type]


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text("correct horse battery\n")
    return path


def test_from_keys_to_a_pulled_version(tmp_path: Path, passphrase: Path) -> None:
    repository = build_tiny_repository(tmp_path / "workshop")
    site, mine, found = tmp_path / "site", tmp_path / "mine", tmp_path / "found.json"
    keys = ("--keys", tmp_path / "keys", "--passphrase-file", passphrase)
    assert run("init", site, *keys).exit_code == 0
    waves = ("--wave", "5%:2h", "--wave", "0.5:30m", "--wave", "100%")
    added = run("add", site, repository / "tiny" / "1", *keys, *waves)
    assert added.exit_code == 0
    assert "waves: 0.05 for 7200 s, 0.5 for 1800 s, 1 for 0 s" in added.output
    assert run("publish", site, *keys).exit_code == 0
    root = ("--updates-root", site / "metadata" / "root.json", "--model-repository", mine)
    with served(site) as url:
        assert "tiny version 1: new" in run("check", url, *root).output
        assert "tiny version 1: fetched" in run("pull", url, *root).output
        assert "tiny version 1: already here" in run("pull", url, *root).output
        add_version(repository, "2")
        assert run("add", site, repository / "tiny" / "2", *keys).exit_code == 0
        assert "tiny version 1: here" in run("check", url, *root, "--json", found).output
        assert orjson.loads(found.read_bytes())["releases"][0]["version"] == "1"
        assert run("publish", site, *keys).exit_code == 0
        assert run("rotate", site, "targets", *keys).exit_code == 0
        assert "tiny version 2: fetched" in run("pull", url, *root, "--task", "tiny").output
    assert (mine / "tiny" / "2" / "task.toml").is_file()


@pytest.mark.parametrize("word", ["check", "pull"])
def test_nothing_is_written_into_the_tasks_that_ship(tmp_path: Path, word: str) -> None:
    root = tmp_path / "root.json"
    root.write_text("{}")
    said = run(word, "http://127.0.0.1:1", "--updates-root", root)
    assert "Missing option '--model-repository'" in said.output
    shipped = shipped_repository()
    options = ("--updates-root", root, "--model-repository", shipped)
    said = run(word, "http://127.0.0.1:1", *options)
    assert isinstance(said.exception, InvalidRequest)
    assert not (shipped / ".updates").exists()


def test_init_does_not_overwrite_keys(tmp_path: Path, passphrase: Path) -> None:
    keys = ("--keys", tmp_path / "keys", "--passphrase-file", passphrase)
    assert run("init", tmp_path / "site", *keys).exit_code == 0
    again = run("init", tmp_path / "other", *keys)
    assert isinstance(again.exception, HawkVisionError)
    assert "holds keys already" in str(again.exception)


@pytest.mark.parametrize("text", ["5", "150%", "x", "5%:2w", "-1%", "0%"])
def test_a_wave_that_cannot_be_is_refused(tmp_path: Path, passphrase: Path, text: str) -> None:
    repository = build_tiny_repository(tmp_path / "workshop")
    keys = ("--keys", tmp_path / "keys", "--passphrase-file", passphrase)
    assert run("init", tmp_path / "site", *keys).exit_code == 0
    done = run("add", tmp_path / "site", repository / "tiny" / "1", *keys, "--wave", text)
    assert done.exit_code != 0
    assert isinstance(done.exception, HawkVisionError | SystemExit)


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A repository, a bundle over its task, and the key that made it, all outside the folder."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    repository = build_tiny_repository(tmp_path / "models")
    private, public, bundle = (tmp_path / name for name in ("key.pem", "key.pub", "tiny.sig"))
    for words in (
        ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private],
        ["ec", "-in", private, "-pubout", "-out", public],
    ):
        subprocess.run([openssl, *map(str, words)], check=True, capture_output=True)
    from model_signing import signing

    config = signing.Config()  # type: ignore[no-untyped-call]
    config.use_elliptic_key_signer(private_key=private).sign(repository / "tiny" / "1", bundle)
    return repository, bundle, public


def verify(repository: Path, bundle: Path, key: Path) -> Result:
    options = ("--signature", bundle, "--public-key", key, "--model-repository", repository)
    return run("verify", "tiny", *options, command=models)


def test_a_folder_that_its_maker_signed(signed: tuple[Path, Path, Path]) -> None:
    done = verify(*signed)
    assert "tiny/1 signature: ok" in done.output
    assert done.exit_code == 0


def test_a_folder_that_was_changed_since(signed: tuple[Path, Path, Path]) -> None:
    (signed[0] / "tiny" / "1" / "more.txt").write_text("not signed")
    done = verify(*signed)
    assert "is not what the key signed" in done.output
    assert done.exit_code == 1


def test_a_folder_that_another_key_signed(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    subprocess.run(
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(other)],
        check=True,
        capture_output=True,
    )
    public = subprocess.run(
        ["openssl", "ec", "-in", str(other), "-pubout"], check=True, capture_output=True
    ).stdout
    key = tmp_path / "other.pub"
    key.write_bytes(public)
    assert verify(signed[0], signed[1], key).exit_code == 1


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff" * 100, b'{"dsseEnvelope": {}}'])
def test_a_bundle_that_is_none(signed: tuple[Path, Path, Path], body: bytes) -> None:
    signed[1].write_bytes(body)
    assert verify(*signed).exit_code == 1


def test_without_the_library_a_line_says_so(
    signed: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signatures, "available", lambda: False)
    done = verify(*signed)
    assert "signature: skipped: model-signing is not installed" in done.output
    assert done.exit_code == 0


def test_up_takes_no_updates() -> None:
    done = run("--updates", "http://127.0.0.1:1", command=up)
    assert "both sides of up share one model repository" in done.output
    assert done.exit_code != 0
