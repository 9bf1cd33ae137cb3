"""The process that holds the GPU under another Python: a session behind messages on a pipe."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hawkvision.engines.tensorrt.builder import Recipe
from hawkvision.engines.tensorrt.cuda import open_cuda
from hawkvision.engines.tensorrt.lane import Tensor
from hawkvision.engines.tensorrt.library import load_tensorrt, make_logger
from hawkvision.engines.tensorrt.opening import open_cache, open_session
from hawkvision.engines.tensorrt.session import Session
from hawkvision.engines.worker.frames import read_frame, write_frame
from hawkvision.engines.worker.pipes import take_pipes
from hawkvision.errors import EngineError


def main(arguments: list[str]) -> None:
    """Open the model that the JSON of the one argument names, answer until the input ends."""
    requests, replies = take_pipes()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    wanted = json.loads(arguments[0])

    def report(text: str) -> None:
        write_frame(replies, {"progress": text})

    try:
        trt = load_tensorrt()
        cuda = open_cuda()
        recipe = Recipe(flavour=wanted["flavour"])
        logger = make_logger(trt)
        model = Path(wanted["model"])
        session = open_session(trt, cuda, logger, model, recipe, open_cache(), report)
    except EngineError as error:
        write_frame(replies, _failure(error))
        return
    ready = {
        "image": _as_dict(session.image),
        "outputs": [_as_dict(one) for one in session.outputs],
        "most": session.most,
        "device": cuda.device().name,
        "version": str(trt.__version__),
    }
    write_frame(replies, ready)
    serve(session, requests, replies)
    session.close()


def serve(session: Session, requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer each batch `{"shape", "dtype"}` with float32 outputs one after another, or `error`."""
    while True:
        frame = read_frame(requests)
        if frame is None:
            return
        head, body = frame
        try:
            images = np.frombuffer(body, np.dtype(head["dtype"])).reshape(head["shape"])
            found = session.run(images)
        except EngineError as error:
            write_frame(replies, _failure(error))
            continue
        outputs = {name: out.astype(np.float32) for name, out in found.items()}
        shapes = [[name, list(out.shape)] for name, out in outputs.items()]
        write_frame(
            replies, {"outputs": shapes}, b"".join(out.tobytes() for out in outputs.values())
        )


def _failure(error: EngineError) -> dict[str, Any]:
    name = "tensorrt: "  # the other side says it again
    message = error.message
    if message.startswith(name):
        message = message[len(name) :]
    return {"error": message, "hint": error.hint}


def _as_dict(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "dtype": tensor.dtype, "shape": list(tensor.shape)}
