"""A trained semantic network as a predictor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intarsia.core import Array, ClassSpace, Hints, LabelMap, Predictor, SettingsError, Task, as_image
from intarsia.data.preprocessing import Preprocessing
from intarsia.inference.any_image import to_array
from intarsia.inference.header import read_header
from intarsia.inference.method_file import FittedMethod, read_method
from intarsia.inference.model_file import ModelCard, read_model
from intarsia.inference.objects import InstanceNetwork, PanopticNetwork
from intarsia.inference.sidecar import SUFFIXES
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
        return self.predict(to_array(image), prob=prob)

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


def load(
    path: str | Path,
    *,
    device: str = "auto",
    options: Mapping[str, Any] | None = None,
    semantic: Predictor | None = None,
) -> SemanticNetwork | InstanceNetwork | PanopticNetwork | FittedMethod:
    """The predictor in a model file.

    Args:
        path: a file such as runs/x/best.safetensors, or the folder of a run, whose best is taken, or what `export` wrote.
        device: "auto", "cpu", "cuda", "cuda:1", "mps"; of a network. What was fitted without one runs on the processor.
        options: of what decodes the objects of an instance or panoptic network, such as `min_score`; others have none.
        semantic: what tells an instance network where the classes are, if it was trained to be told.

    Raises:
        ModelFileError: missing, truncated, of a newer version, or not ours.
        SettingsError: an option that it does not have.
    """
    path = Path(path)
    if (path / BEST).is_file():
        path /= BEST
    name = path.stem if path.name != BEST else None
    is_exported = path.suffix in SUFFIXES.values()
    if not is_exported and read_header(path, lambda header: "method" in header):
        _refuse_options(path, options, semantic)
        return read_method(path, name=name)
    model, card = _read_exported(path, device) if is_exported else read_model(path)
    device = "cpu" if is_exported else device
    kinds: dict[Task, type[InstanceNetwork | PanopticNetwork]] = {"instance": InstanceNetwork, "panoptic": PanopticNetwork}
    if card.task in kinds:
        return kinds[card.task](model, card, device=device, name=name, options=options, semantic=semantic)
    _refuse_options(path, options, semantic)
    return SemanticNetwork(model, card, device=device, name=name)


def _read_exported(path: Path, device: str) -> tuple[nn.Module, ModelCard]:
    """A graph that was written by `export`, which runs on the processor.

    Raises:
        SettingsError: another device.
    """
    from intarsia.inference.exported import read_exported

    if device not in ("auto", "cpu"):
        raise SettingsError(
            f"{path} was exported and runs on the processor here, and the device {device!r} was given. Leave it out, or use the "
            "model file."
        )
    return read_exported(path)


def _refuse_options(path: Path, options: Mapping[str, Any] | None, semantic: Predictor | None) -> None:
    if semantic is not None:
        raise SettingsError(f"{path} gives each pixel its class itself, and {semantic.name} was given to say it. Leave it out.")
    if options:
        raise SettingsError(
            f"Options ({', '.join(options)}) were given for {path}, which has its own inside. Classical methods take some, and "
            "instance and panoptic networks those of their decoder."
        )


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
