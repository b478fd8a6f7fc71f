"""Trained instance and panoptic networks as predictors: network, then decoder, at the size of the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from intarsia.core import (
    Array,
    ClassSpace,
    Hints,
    Instances,
    LabelMap,
    ModelFileError,
    Output,
    Panoptic,
    Predictor,
    Segmentation,
    SettingsError,
    Task,
    as_image,
    thing_ids_of,
)
from intarsia.data.preprocessing import Preprocessing, resize_label
from intarsia.inference.any_image import to_array
from intarsia.inference.model_file import ModelCard
from intarsia.postprocess import create_decoder

if TYPE_CHECKING:
    from torch import nn

__all__ = ["InstanceNetwork", "PanopticNetwork", "arrays_of_image"]


class _ObjectNetwork:
    """What both have in common; arguments as of `PanopticNetwork`."""

    def __init__(
        self,
        model: nn.Module,
        card: ModelCard,
        *,
        device: str = "auto",
        name: str | None = None,
        options: Mapping[str, Any] | None = None,
        semantic: Predictor | None = None,
    ) -> None:
        from intarsia.inference.network import choose_device

        check_semantic(card.spec.name, card.spec.options.get("semantic") == "given", card.classes, semantic)
        self.device = choose_device(device)
        self.model = model.to(self.device).eval()
        self.card = card
        self.name = name or card.spec.name
        self.decode = create_decoder(_decoder_of(model), options)
        self.semantic = semantic

    @property
    def classes(self) -> ClassSpace:
        return self.card.classes

    @property
    def preprocessing(self) -> Preprocessing:
        return self.card.preprocessing

    def _decoded(self, image: Array, **given: Any) -> Any:
        import torch

        image = as_image(image)
        small = self.preprocessing.normalize(self.preprocessing.fit(image))
        size_hw, seen_hw = image.shape[:2], small.shape[1:]
        seen = torch.from_numpy(small)[None].to(self.device)
        with torch.inference_mode():
            if self.semantic is None:
                output = self.model(seen)
            else:
                label = resize_label(_thing_label(self.semantic.predict(image), self.classes), seen_hw)
                output = self.model(seen, {"thing_label": torch.from_numpy(label)[None].to(self.device)})
            logits, parts = arrays_of_image(output, 0, size_hw)
        scale_yx = (size_hw[0] / seen_hw[0], size_hw[1] / seen_hw[1])
        return self.decode(logits, parts, seen_hw if "boxes_xyxy" in parts else size_hw, scale_yx=scale_yx, **given)


class InstanceNetwork(_ObjectNetwork):
    """Image in, objects out, at the size of the image; arguments as of `PanopticNetwork`."""

    @property
    def task(self) -> Task:
        return "instance"

    def __call__(self, image: Any) -> Instances:
        """The objects of a path, an array or a PIL image."""
        return self.predict(to_array(image))

    def predict(self, image: Array, hints: Hints | None = None) -> Instances:
        """The objects in an array (H, W) or (H, W, C), which may overlap, best score first."""
        masks, class_index, score = self._decoded(image)
        class_id = np.array(thing_ids_of(self.classes), np.int32)[class_index]
        return Instances(masks, class_id, self.classes, np.clip(score, 0, 1).astype(np.float32))


class PanopticNetwork(_ObjectNetwork):
    """Image in, panoptic map out, at the size of the image.

    Args:
        model: the network, whose class says which decoder is its own; it is put into evaluation mode.
        card: classes, preprocessing and where it comes from.
        device: where it runs; "auto" takes a GPU if there is one.
        name: what it is called in tables.
        options: of the decoder, such as `min_score`; see `intarsia.postprocess.decoder_options`.
        semantic: for a network that was trained to be told where the classes are: what tells it.

    Raises:
        SettingsError: an option that the decoder does not have, or `semantic` missing or in vain.
    """

    @property
    def task(self) -> Task:
        return "panoptic"

    def __call__(self, image: Any) -> Panoptic:
        """The panoptic map of a path, an array or a PIL image."""
        return self.predict(to_array(image))

    def predict(self, image: Array, hints: Hints | None = None) -> Panoptic:
        """The panoptic map of an array (H, W) or (H, W, C)."""
        things = thing_ids_of(self.classes)
        ids, segments = self._decoded(image, thing_ids=things, num_classes=len(self.classes))
        return Panoptic(ids, tuple(segments), self.classes)


def arrays_of_image(output: Output, index: int, size_hw: tuple[int, int] | None = None) -> tuple[Array, dict[str, Array]]:
    """Logits and parts of one image of a batch, as decoders take them.

    Maps (N, C, H, W) lose the axis of images and are enlarged to `size_hw` (bilinear, pixel centres at half) before anything is
    decided; of what is a row for each object, the rows of this image remain, told by `parts["image_index"]`.

    Args:
        output: of a network in evaluation mode.
        index: of the image in the batch.
        size_hw: of the maps that are wanted; None leaves them as they are.
    """
    import torch
    from torch.nn.functional import interpolate

    parts = output.parts or {}
    of_image = parts["image_index"] == index if "image_index" in parts else None

    def array(tensor: torch.Tensor) -> Array:
        if tensor.ndim == 4:
            tensor = tensor[index : index + 1].float()
            if size_hw is not None and tensor.shape[2:] != size_hw:
                tensor = interpolate(tensor, size_hw, mode="bilinear", align_corners=False)
            tensor = tensor[0]
        elif of_image is not None and len(tensor) == len(of_image):
            tensor = tensor[of_image]
        tensor = tensor.detach().cpu()
        return np.asarray((tensor.float() if tensor.is_floating_point() else tensor).numpy())

    return array(output.logits), {name: array(tensor) for name, tensor in parts.items()}


def check_semantic(name: str, is_told: bool, classes: ClassSpace, semantic: Predictor | None) -> None:
    """Refuse a network called `name` that misses what tells it where its classes are, or gets it in vain.

    Raises:
        SettingsError: it is missing, not asked for, or cannot tell the countable ones of `classes`.
    """
    things = [classes.names[index] for index in thing_ids_of(classes)]
    if is_told and semantic is None:
        method = ", or a classical method that finds foreground: --semantic chan_vese" if len(things) == 1 else ""
        raise SettingsError(
            f"{name} with the option semantic=given is told where the classes are. Give a model of the classes "
            f"{', '.join(things)} that tells it: --semantic FILE{method}."
        )
    if semantic is None:
        return
    if not is_told:
        raise SettingsError(
            f"{name} finds out itself where the classes are, and {semantic.name} was given to say it. Leave it out."
        )
    if semantic.task in ("instance", "regions"):
        found = "objects" if semantic.task == "instance" else "regions without classes"
        raise SettingsError(
            f"{semantic.name} finds {found}, and does not say of each pixel whether it is {' or '.join(things)}. Give what does."
        )
    if semantic.classes is not None:
        _thing_table(semantic.classes, classes)


def _thing_label(found: Segmentation, classes: ClassSpace) -> Array:
    """(H, W) int64 of what another predictor found: 0 is nothing, 1 and on are the countable classes, matched by name."""
    labels = found.to_label_map() if isinstance(found, Panoptic) else found
    if not isinstance(labels, LabelMap) or labels.classes is None:
        things = ", ".join(classes.names[index] for index in thing_ids_of(classes))
        raise SettingsError(f"What is to say where {things} are made a {type(found).__name__} without classes, which does not.")
    return _thing_table(labels.classes, classes)[labels.ids]


def _thing_table(own: ClassSpace, classes: ClassSpace) -> Array:
    """What each id of one class space is in `_thing_label`.

    Raises:
        SettingsError: it knows none of the countable classes.
    """
    things = [classes.names[index] for index in thing_ids_of(classes)]
    table = np.zeros(max(len(own), own.ignore_id + 1), np.int64)
    for index, name in enumerate(own.names):
        table[index] = things.index(name) + 1 if name in things else 0
    if not table.any() and len(own) == 2 and len(things) == 1:  # background and foreground, as classical methods say it
        table[1] = 1
    if not table.any():
        raise SettingsError(
            f"The network counts {', '.join(things)}, and what is to say where they are knows {', '.join(own.names)}. Give a "
            "model with these classes."
        )
    return table


def _decoder_of(model: nn.Module) -> str:
    name = getattr(model, "DECODER", None)
    if not isinstance(name, str):
        raise ModelFileError(
            f"A {type(model).__name__} does not say how its output becomes objects (DECODER), so it is no network of objects."
        )
    return name
