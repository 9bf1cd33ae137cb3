"""Requests made of the agent's own description, right ones and wrong ones: schemathesis.

`python -m tests.attack.described --minutes 5` starts an agent with keys and lets schemathesis
(`pip install 'schemathesis>=4'`, here or anywhere; `--program` names it) ask whatever
`GET /openapi.json` says may be asked, and what it says may not: half of the time with names that
the agent knows, half with any. Exit 1 where an answer is a fault of ours, is not as described, or a
wrong request, or one without a key, is taken.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from hawkvision.serving.access.files import store_keys
from hawkvision.serving.access.keyfile import Key, KeyFile, digest_of, new_key
from hawkvision.serving.access.scopes import GRANTED
from tests.models import build_tiny_repository
from tests.processes import edge, free_port

LEFT_OUT = ("positive_data_acceptance",)
"""Checks that cannot hold: bytes that are described as an image are none, and names that are
described as a task's are unknown."""

KNOWN = '[parameters]\ntask = "tiny"\nversion = "1"\napp = "gate"\n'
_OPTIONS = (
    *("--checks", "all", "--exclude-checks", ",".join(LEFT_OUT), "--continue-on-failure"),
    *("--workers", "1", "--suppress-health-check", "all", "--request-timeout", "20"),
    *("--no-color", "--warnings", "off"),
)


def found_program() -> str | None:
    """Where schemathesis is, if it is anywhere."""
    beside = Path(sys.executable).with_name("schemathesis")
    return str(beside) if beside.exists() else shutil.which("schemathesis")


def attack(program: str, seconds: int, *, seed: int | None = None, most: int | None = None) -> int:
    """Its exit status; what it says goes to standard output. At most `most` examples of each
    operation, or as many as fit into the time."""
    with tempfile.TemporaryDirectory() as name:
        folder, key = Path(name), new_key()
        store_keys(
            folder / "keys.toml",
            KeyFile((Key("attacker", digest_of(key), frozenset(GRANTED), None),)),
        )
        repository = build_tiny_repository(folder / "tasks")
        options = ("--keys", str(folder / "keys.toml"), "--audit-log", str(folder / "audit.jsonl"))
        with edge(repository, f"127.0.0.1:{free_port()}", *options) as agent:
            url = f"http://{agent.address}/openapi.json"
            header = f"Authorization: Bearer {key}"
            limit = ["--max-time", str(seconds // 2)] if most is None else ["-n", str(most)]
            limit += [] if seed is None else ["--seed", str(seed)]
            statuses = []
            for names in (KNOWN, ""):
                (folder / "schemathesis.toml").write_text(names)
                command = [program, "run", url, "--header", header, *_OPTIONS, *limit]
                statuses.append(subprocess.run(command, cwd=folder, check=False).returncode)
            assert agent.process.poll() is None, "the agent has ended"
            assert "Traceback" not in agent.output, agent.output
            assert key not in agent.output and key not in (folder / "audit.jsonl").read_text()
    return max(statuses)


@click.command()
@click.option("--minutes", type=click.FloatRange(0.1), default=5.0, show_default=True)
@click.option("--program", default=None, help="Where schemathesis is, if not where others are.")
@click.option("--seed", type=int, default=None)
def main(minutes: float, program: str | None, seed: int | None) -> None:
    """Ask an agent all that its description allows, and all that it does not."""
    where = program or found_program()
    if where is None:
        raise click.ClickException("schemathesis is not installed: pip install 'schemathesis>=4'")
    sys.exit(attack(where, round(minutes * 60), seed=seed))


if __name__ == "__main__":
    main()
