"""One shell for all commands of a page: variables and what goes on in the background last."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tests.docs.console import Step, matches
from tests.processes import free_port

HANGS_S = 200.0
"""What a page waits for and has not come by then never comes."""

ROOT = Path(__file__).resolve().parents[2]
_POLL_S = 0.05
_STOP_S = 10.0
_INTERRUPTED = 128 + signal.SIGINT
"""The status that a shell gives a program which Ctrl-C ended."""
_HOME = ("HOME", "TMPDIR", "LANG")


class Shell:
    """A bash in a folder, in which `hawkvision` and `python` are this checkout's.

    `ports` are those of the page; each stands for a free one, in commands, in outputs, and in
    `defaults`: variables that say it to commands which do not name it. `stand_ins` are what takes
    the place of other words of the page in the same way: of hosts that are not here, say. What has
    not come in `hangs_s` never will.
    """

    def __init__(
        self,
        folder: Path,
        ports: Sequence[int],
        defaults: Mapping[str, str],
        stand_ins: Mapping[str, str] | None = None,
        *,
        hangs_s: float = HANGS_S,
    ) -> None:
        self.folder = folder
        self._hangs_s = hangs_s
        self._stand_ins = dict(stand_ins or {})
        self._programs = folder.with_name(f"{folder.name}.programs")
        self._said = folder.with_name(f"{folder.name}.said")
        self._ports = {str(port): str(free_port()) for port in ports}
        self._steps = 0
        for place in (folder, self._programs, self._said):
            place.mkdir()
        self._program("python", f'exec "{sys.executable}" "$@"')
        self._program("hawkvision", f'exec "{sys.executable}" -m hawkvision.cli "$@"')
        # On a terminal curl shows no progress beside a body.
        self._program("curl", f'exec "{shutil.which("curl")}" --silent --show-error "$@"')
        (folder / "deploy").symlink_to(ROOT / "deploy")
        (folder / ".venv").mkdir()
        (folder / ".venv" / "bin").symlink_to(self._programs)
        self._status, ours = os.pipe()
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            cwd=folder,
            env={
                **{name: os.environ[name] for name in _HOME if name in os.environ},
                **{name: self._ours(value) for name, value in defaults.items()},
                "PATH": f"{self._programs}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "COLUMNS": "80",
                "PYTHONUNBUFFERED": "1",  # as on a terminal
                "HAWKVISION_EDGE_AUDIT_SHARE": "0",  # what is audited is drawn by chance
                "STATUS": str(ours),
            },
            pass_fds=(ours,),
            start_new_session=True,
        )
        os.close(ours)

    def _program(self, name: str, script: str) -> None:
        path = self._programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def _ours(self, text: str) -> str:
        """With the free ports, where the page has its own."""
        for theirs, ours in self._stand_ins.items():
            text = text.replace(theirs, ours)
        return self._swapped(text, self._ports)

    def _theirs(self, text: str) -> str:
        text = self._swapped(text, {ours: theirs for theirs, ours in self._ports.items()})
        for theirs, ours in self._stand_ins.items():
            text = text.replace(ours, theirs)
        return text

    @staticmethod
    def _swapped(text: str, ports: Mapping[str, str]) -> str:
        return re.sub(r"(?<!\d)\d{4,5}(?!\d)", lambda one: ports.get(one[0], one[0]), text)

    def run(self, step: Step) -> tuple[str, int | None]:
        """What a command prints, and its status; None of one that goes on.

        Of such a one this waits until it has said what the page says; what comes soon is looked at
        until it is there. Raises AssertionError for what hangs.
        """
        end = time.monotonic() + self._hangs_s
        said, status = self._once(step)
        while step.soon and not matches(step, said) and time.monotonic() < end:
            time.sleep(_POLL_S)
            said, status = self._once(step)
        return said, status

    def _once(self, step: Step) -> tuple[str, int | None]:
        self._steps += 1
        said = self._said / f"{self._steps}"
        said.touch()
        before = self._children()
        lines = [f"{{ {self._ours(step.command)}", f"}} >'{said}' 2>&1 </dev/null"]
        lines.append("echo $? >&$STATUS\n")
        assert self._bash.stdin is not None
        self._bash.stdin.write("\n".join(lines).encode())
        self._bash.stdin.flush()
        if step.interrupted:
            self._printed(step, said)
            for child in self._begun(before):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGINT)
        status = self._ended(step)
        if step.interrupted and status == _INTERRUPTED:
            status = 0
        if step.goes_on:
            return self._printed(step, said), None
        return self._theirs(said.read_text("utf-8")), status

    def _children(self) -> set[int]:
        pid = self._bash.pid
        return {int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    def _begun(self, before: set[int]) -> set[int]:
        end = time.monotonic() + self._hangs_s
        while not (begun := self._children() - before) and time.monotonic() < end:
            time.sleep(_POLL_S)
        return begun

    def _printed(self, step: Step, said: Path) -> str:
        """What is in the file once it is what the page says, or an error, or nothing comes."""
        end = time.monotonic() + self._hangs_s
        while not matches(step, found := self._theirs(said.read_text("utf-8"))):
            if time.monotonic() > end or "\nerror: " in f"\n{found}":
                break
            time.sleep(_POLL_S)
        return found

    def _ended(self, step: Step) -> int:
        end = time.monotonic() + self._hangs_s
        while time.monotonic() < end:
            ready, _, _ = select.select([self._status], [], [], _POLL_S)
            if ready and (said := os.read(self._status, 16)):
                return int(said)
            if self._bash.poll() is not None:
                raise AssertionError(f"line {step.line}: `{step.command}` ended the shell")
        raise AssertionError(f"line {step.line}: `{step.command}` does not end")

    def __enter__(self) -> Shell:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End what still runs: all of it is in the shell's session, or dies with what is."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._bash.pid, number)
            except ProcessLookupError:
                break
            end = time.monotonic() + _STOP_S
            while self._alive() and time.monotonic() < end:
                time.sleep(_POLL_S)
        assert self._bash.stdin is not None
        self._bash.stdin.close()
        self._bash.wait()
        os.close(self._status)

    def _alive(self) -> bool:
        self._bash.poll()
        try:
            os.killpg(self._bash.pid, 0)
        except ProcessLookupError:
            return False
        return True
