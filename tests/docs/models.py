"""What readers of docs/bring-your-models.md have: `python -m tests.docs.models` puts it here.

Photos of four colours, and networks that tell them apart: `small.onnx` is often wrong, `large.onnx`
hardly ever, and both say their labels; `tiny.onnx` and `wide.onnx` have to be told more.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.models import LABELS, classifier, coloured_jpeg
from tests.taskbuild.strangers import TORCH_LABELS, TORCH_MODEL
from tests.taskbuild.strangers import photos as coloured

_IMAGES = 420


def _labelled(model: onnx.ModelProto, labels: tuple[str, ...]) -> onnx.ModelProto:
    helper.set_model_props(model, {"labels": json.dumps(labels)})
    return model


def _of_unit_pixels(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same for pixels in 0…1."""
    cast = model.graph.node[0]
    cast.output[0] = "unit"
    model.graph.initializer.append(numpy_helper.from_array(np.array(255, np.float32), "most"))
    model.graph.node.insert(1, helper.make_node("Mul", ["unit", "most"], ["pixels"]))
    return model


def _of_any_size(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same for images of every size; it looks at the corner that it has looked at before."""
    dimensions = model.graph.input[0].type.tensor_type.shape.dim
    dimensions[1].dim_param, dimensions[2].dim_param = "h", "w"
    return model


def write(folder: Path) -> None:
    """All of it."""
    small = classifier(9, dtype=TensorProto.FLOAT)
    tiny = _of_unit_pixels(classifier(9, dtype=TensorProto.FLOAT))
    wide = _of_any_size(classifier(224, dtype=TensorProto.FLOAT))
    onnx.save(_labelled(small, LABELS), folder / "small.onnx")
    onnx.save(_labelled(onnx.load(TORCH_MODEL), TORCH_LABELS), folder / "large.onnx")
    for name, model in (("tiny", tiny), ("wide", wide)):
        onnx.checker.check_model(model)
        onnx.save(model, folder / f"{name}.onnx")
        (folder / f"{name}.txt").write_text("\n".join(LABELS) + "\n")
    photos = folder / "photos"
    for split, start in (("val", 50_000), ("train", 60_000)):
        for image in coloured(_IMAGES, start=start):
            path = photos / split / image.label / image.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image.data)
    with tarfile.open(folder / "photos.tar", "w") as tar:
        for place in sorted((photos / "val").iterdir()):
            tar.add(place, place.name)
    (folder / "photo.jpg").write_bytes(coloured_jpeg("green", seed=3))


if __name__ == "__main__":
    write(Path())
