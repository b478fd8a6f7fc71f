"""A trained semantic network as a predictor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intarsia.core import Array, ClassSpace, DataError, Hints, LabelMap, SettingsError, Task, as_image
from intarsia.data.preprocessing import Preprocessing
from intarsia.inference.model_file import ModelCard, read_model
from intarsia.recipes.run_files import BEST

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["SemanticNetwork", "choose_device", "load"]


class SemanticNetwork:
    """Image in, label map out, at the size of the image.

    Args:
        model: the network; it is put into evaluation mode.
        card: classes, preprocessing and where it comes from.
        device: where it runs; "auto" takes a GPU if there is one.
        name: what it is called in tables.
    """

    def __init__(self, model: nn.Module, card: ModelCard, *, device: str = "auto", name: str | None = None) -> None:
        self.device = choose_device(device)
        self.model = model.to(self.device).eval()
        self.card = card
        self.name = name or card.spec.name

    @property
    def task(self) -> Task:
        return "semantic"

    @property
    def classes(self) -> ClassSpace:
        return self.card.classes

    @property
    def preprocessing(self) -> Preprocessing:
        return self.card.preprocessing

    def __call__(self, image: Any, *, prob: bool = False) -> LabelMap:
        """Segment a path, an array or a PIL image. With `prob`, the result carries the class probabilities."""
        return self.predict(_to_array(image), prob=prob)

    def predict(self, image: Array, hints: Hints | None = None, *, prob: bool = False) -> LabelMap:
        """Segment an array (H, W) or (H, W, C); the scores are enlarged to the image's size before the decision."""
        import torch

        from intarsia.postprocess.argmax import argmax_label

        image = as_image(image)
        small = self.preprocessing.normalize(self.preprocessing.fit(image))
        with torch.inference_mode():
            logits = self.model(torch.from_numpy(small)[None].to(self.device)).logits
        ids, probs = argmax_label(logits, [image.shape[:2]], prob=prob)
        return LabelMap(ids[0].astype(self.classes.id_dtype), self.classes, probs[0] if probs else None)


def load(path: str | Path, *, device: str = "auto") -> SemanticNetwork:
    """The predictor in a model file.

    Args:
        path: a file such as runs/x/best.safetensors, or the folder of a run, whose best is taken.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".

    Raises:
        ModelFileError: missing, truncated, of a newer version, or not ours.
    """
    path = Path(path)
    if (path / BEST).is_file():
        path /= BEST
    model, card = read_model(path)
    return SemanticNetwork(model, card, device=device, name=path.stem if path.name != BEST else None)


def choose_device(device: str = "auto") -> torch.device:
    """The device of that name, or for "auto" a GPU if there is one.

    Raises:
        SettingsError: a device that this machine or this build of torch does not have.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(
            f"The device {device!r} cannot be used here: {reason} Leave --device out to take what there is."
        ) from error
    return chosen


def _to_array(image: Any) -> Array:
    if isinstance(image, np.ndarray):
        return image
    if isinstance(image, str | Path):
        from intarsia.data.formats.image import read_image

        return read_image(image)
    if hasattr(image, "convert") and hasattr(image, "mode"):  # a PIL image, without importing Pillow to find out
        from PIL import ImageOps

        from intarsia.data.formats._decode import pillow_pixels

        upright: Any = ImageOps.exif_transpose(image)
        pixels = pillow_pixels(upright, "PIL")
        if pixels.palette is not None:
            return pixels.palette[pixels.values]
        return pixels.values * np.uint8(255) if pixels.bits == 1 else pixels.values
    raise DataError(f"A {type(image).__name__} is not an image; give a path, a numpy array or a PIL image.")
