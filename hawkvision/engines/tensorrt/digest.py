"""What a model file is, with the weights beside it: a digest to know its built engine by."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from hawkvision.errors import EngineError

_MOST_FILES = 10000


def digest_of(model: Path) -> str:
    """SHA-256 of the model, and of every file of its folder that it names. Raises EngineError.

    An ONNX file names the files that hold its weights as plain text, so a file counts where its
    path occurs in the model's bytes. One that only seems to be named does no harm.
    """
    try:
        content = model.read_bytes()
        total = hashlib.sha256(content)
        for name in _files(model.parent):
            if name != model.name and name.encode() in content:
                inner = hashlib.sha256((model.parent / name).read_bytes()).hexdigest()
                total.update((f"\0{name}\0{inner}").encode())
    except OSError as error:
        raise EngineError(
            f"tensorrt: cannot read {model.name}: {error.strerror or error}"
        ) from error
    return total.hexdigest()


def _files(folder: Path) -> list[str]:
    found = []
    for place, _, names in os.walk(str(folder)):
        inner = os.path.relpath(place, str(folder))
        found += [name if inner == "." else f"{inner}/{name}" for name in names]
        if len(found) > _MOST_FILES:
            raise EngineError(
                f"tensorrt: {folder} holds more than {_MOST_FILES} files",
                hint="Keep a model in a folder of its own.",
            )
    return sorted(found)
