"""All documents, and the commands in them, whether they are run or not."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.docs.blocks import Block, blocks
from tests.docs.console import steps_of

ROOT = Path(__file__).resolve().parents[2]
PATHS = sorted(
    [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "models").rglob("*.md")]
)
_CODE = re.compile(r"`([^`\n]+)`")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_ENDS = {"|", "||", "&&", "&", ";", "(", ")", "<", ">", ">>", "2>&1", "do", "done", "{", "}"}


@dataclass(frozen=True)
class Command:
    """One program with its words, and where it stands."""

    place: str
    words: tuple[str, ...]

    @property
    def program(self) -> str:
        """Without its folder."""
        return Path(self.words[0]).name


def all_blocks() -> Iterator[tuple[Path, Block]]:
    """The blocks of all documents that hold commands or Python."""
    for path in PATHS:
        for block in blocks(path.read_text("utf-8")):
            if block.is_shell or block.language == "python":
                yield path, block


def shell_commands() -> Iterator[Command]:
    """Each program of each line of shell in the documents."""
    for path, block in all_blocks():
        if block.is_shell:
            for step in steps_of(block):
                script, _, _ = step.command.partition("<<")
                for words in _programs(script.replace("\\\n", " ")):
                    yield Command(f"{path.name}, line {step.line}", words)


def inline_commands(program: str) -> Iterator[Command]:
    """Each `PROGRAM …` within the text of the documents."""
    for path in PATHS:
        prose = _FENCED.sub("", path.read_text("utf-8"))
        for code in _CODE.findall(prose):
            if code.startswith(f"{program} "):
                words = code.replace("…", " ").replace("[", " ").split()
                yield Command(path.name, tuple(words))


def _programs(script: str) -> Iterator[tuple[str, ...]]:
    """The simple commands of some lines, without what stands before their programs."""
    for line in script.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*_tokens(lexer), ";"]:
            if word in _ENDS or set(word) <= set(";&|()<>"):
                if words:
                    yield tuple(words)
                words = []
            elif words or (not ("=" in word and not word.startswith("-")) and word != "sudo"):
                words.append(word)


def _tokens(lexer: shlex.shlex) -> list[str]:
    try:
        return list(lexer)
    except ValueError:  # a quote that ends in a later line
        return []
