"""Keys with several workers: one rate for all of them, and new keys reach each."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

from hawkvision.serving.access.files import store_keys
from hawkvision.serving.access.keyfile import Key, KeyFile, digest_of
from hawkvision.serving.access.rate import Rate
from hawkvision.serving.access.scopes import Scope
from tests.edge_agent.test_workers import until
from tests.processes import edge, free_port


def test_a_key_s_rate_is_of_all_workers_together_and_all_take_new_keys(
    tiny_repository: Path, tmp_path: Path
) -> None:
    path, texts = tmp_path / "keys.toml", ("one key", "another key")
    keys = [
        Key(text[:3], digest_of(text), frozenset({Scope.READ}), None, Rate(0.001, 30.0))
        for text in texts
    ]
    store_keys(path, KeyFile((keys[0],)))

    def status(text: str) -> int:
        """Over a connection of its own, so of whichever worker it comes to."""
        headers = {"Authorization": f"Bearer {text}"}
        asked = urllib.request.Request(f"http://{service.address}/v1/tasks", headers=headers)
        try:
            with urllib.request.urlopen(asked, timeout=10) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            return error.code

    options = ("--workers", "3", "--keys", str(path))
    with edge(tiny_repository, f"127.0.0.1:{free_port()}", *options) as service:
        found = [status(texts[0]) for _ in range(60)]
        assert found.count(200) == 30 and found[30:].count(429) == 30
        store_keys(path, KeyFile((keys[1],)))
        until(lambda: [status(texts[0]) for _ in range(12)] == [401] * 12)
        until(lambda: status(texts[1]) == 200)
