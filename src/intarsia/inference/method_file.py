"""The model file of a classical method that learnt: its arrays under the header of a model file. Torch is not needed for it.

Where a network's header has its architecture (`model`), this one has `method`: the name in the catalogue of classical methods,
and its options.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from intarsia import __version__
from intarsia.classical import Fitted, restore_method
from intarsia.core import Array, ClassSpace, Hints, LabelMap, ModelFileError, Task
from intarsia.core.whole_file import written_whole
from intarsia.inference.any_image import to_array
from intarsia.inference.header import FORMAT_VERSION, KEY, read_header

__all__ = ["FittedMethod", "MethodCard", "read_method", "write_method"]


@dataclass(frozen=True)
class MethodCard:
    """What a model file says about a method in it.

    Args:
        method: its name.
        classes: what its ids mean.
        options: what it was fitted with.
        scores: figures measured on the way.
        note: a sentence about them.
        history: how it came about: data, recipe; for people, not for the program.
        version: of Intarsia that wrote the file.
    """

    method: str
    classes: ClassSpace
    options: Mapping[str, Any]
    scores: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    history: Mapping[str, Any] = field(default_factory=dict)
    version: str = __version__

    def to_dict(self) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            "version": self.version,
            "method": {"name": self.method, "options": dict(self.options)},
            "classes": self.classes.to_dict(),
            "scores": dict(self.scores),
            "note": self.note,
            "history": dict(self.history),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MethodCard:
        return cls(
            method=data["method"]["name"],
            classes=ClassSpace.from_dict(data["classes"]),
            options=data["method"]["options"],
            scores=data["scores"],
            note=data["note"],
            history=data["history"],
            version=data["version"],
        )


class FittedMethod:
    """Image in, label map out: a method that learnt, as it was read from its file.

    Args:
        fitted: the method.
        card: what its file says.
        name: what it is called in tables.
    """

    def __init__(self, fitted: Fitted, card: MethodCard, *, name: str | None = None) -> None:
        self.fitted = fitted
        self.card = card
        self.name = name or fitted.name

    @property
    def task(self) -> Task:
        return self.fitted.task

    @property
    def classes(self) -> ClassSpace:
        return self.fitted.classes

    @property
    def note(self) -> str:
        """What was measured while it was fitted, in a sentence; may be empty."""
        return self.card.note

    def __call__(self, image: Any, *, prob: bool = False) -> LabelMap:
        """Segment a path, an array or a PIL image. With `prob`, the result carries the class probabilities."""
        return self.predict(to_array(image), prob=prob)

    def predict(self, image: Array, hints: Hints | None = None, *, prob: bool = False) -> LabelMap:
        """Segment an array (H, W) or (H, W, C)."""
        return self.fitted.predict(image, hints, prob=prob)


def write_method(path: str | Path, fitted: Fitted, history: Mapping[str, Any] | None = None) -> Path:
    """Write a fitted method as a model file; a file that is there already stays whole until the new one is complete."""
    from safetensors.numpy import save

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    card = MethodCard(fitted.name, fitted.classes, fitted.options, fitted.scores, fitted.note, history or {})
    arrays = {name: np.ascontiguousarray(array) for name, array in fitted.to_arrays().items()}
    with written_whole(path) as partial:
        partial.write_bytes(save(arrays, metadata={KEY: json.dumps(card.to_dict())}))
    return path


def read_method(path: str | Path, *, name: str | None = None) -> FittedMethod:
    """The method in a model file, ready to predict.

    Args:
        path: of the file.
        name: what it is to be called in tables.

    Raises:
        ModelFileError: missing, damaged, of a newer version, a network, or arrays that do not fit the method.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    card = read_header(path, MethodCard.from_dict)
    try:
        fitted = restore_method(card.method, load_file(path), card.classes, card.options, card.scores, card.note)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"The arrays in {path} do not make the {card.method!r} that its header names ({error}). The file is damaged, or was "
            f"written by another version: by Intarsia {card.version}; this is {__version__}."
        ) from error
    return FittedMethod(fitted, card, name=name)
