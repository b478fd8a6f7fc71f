"""A classical function as a predictor: its options checked, its ids as a segmentation."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, get_args, get_origin

import numpy as np

from intarsia.core import (
    Array,
    Catalog,
    ClassSpace,
    Hints,
    Instances,
    LabelMap,
    Segmentation,
    SettingsError,
    Task,
    as_image,
    nearest_names,
)

__all__ = [
    "CLASSICAL",
    "OBJECTS",
    "TWO_CLASSES",
    "Method",
    "MethodDescription",
    "check_options",
    "create_method",
    "describe_method",
]

CLASSICAL = Catalog("classical method", "intarsia.classical")
TWO_CLASSES = ClassSpace.from_names(["background", "foreground"])
OBJECTS = ClassSpace.from_names(["object"], things=["object"])


class MethodDescription(TypedDict):
    """What a method is.

    name: of its file; what `create_method` takes.
    summary: what it is, in a sentence.
    citation: who described it, and where.
    options: its keywords and their defaults.
    choices: the values of those options that have only a few.
    result: "regions", "foreground", "objects", "hinted" or "learned", see `intarsia.classical`.
    hints: kinds of hints that it needs; any one of them is enough.
    optional_hints: kinds of hints that it uses where they are given.
    sequence: whether it takes frames instead of an image.
    """

    name: str
    summary: str
    citation: str
    options: dict[str, Any]
    choices: dict[str, tuple[Any, ...]]
    result: str
    hints: tuple[str, ...]
    optional_hints: tuple[str, ...]
    sequence: bool


def describe_method(name: str) -> MethodDescription:
    """Say what the method called `name` is and which options it has.

    Raises:
        UnknownNameError: no such method; the message names the nearest.
    """
    module, public = CLASSICAL.module(name), CLASSICAL.load(name)
    function = getattr(public, "fit", public)
    summary, citation = ((inspect.getdoc(module) or "") + "\n\n").split("\n\n")[:2]
    keywords = [p for p in inspect.signature(function, eval_str=True).parameters.values() if p.kind is p.KEYWORD_ONLY]
    return {
        "name": name,
        "summary": " ".join(summary.split()),
        "citation": " ".join(citation.split()),
        "options": {p.name: p.default for p in keywords},
        "choices": {p.name: get_args(p.annotation) for p in keywords if get_origin(p.annotation) is Literal},
        "result": module.RESULT,
        "hints": getattr(module, "HINTS", ()),
        "optional_hints": getattr(module, "OPTIONAL_HINTS", ()),
        "sequence": getattr(module, "SEQUENCE", False),
    }


class Method:
    """A classical method with its options, as a predictor.

    Args:
        name: of its file.
        options: its keywords; those left out have their defaults.

    Raises:
        UnknownNameError: no such method.
        SettingsError: an option that it does not have, a value of another kind than its default, or a method that has to learn.
    """

    def __init__(self, name: str, **options: Any) -> None:
        self.about = describe_method(name)
        if self.about["result"] == "learned":
            raise SettingsError(
                f"{name} knows nothing until it is fitted. Fit it first (intarsia train DATA --model {name}), then give the file "
                "best.safetensors of the run."
            )
        check_options(self.about, options)
        self.options = options
        self._segment = CLASSICAL.load(name)

    @property
    def name(self) -> str:
        return self.about["name"]

    @property
    def task(self) -> Task:
        tasks: dict[str, Task] = {"regions": "regions", "foreground": "semantic", "objects": "instance", "hinted": "semantic"}
        return tasks[self.about["result"]]

    @property
    def classes(self) -> ClassSpace | None:
        """Background and foreground, "object", or None for regions and for classes that the hints decide."""
        return {"foreground": TWO_CLASSES, "objects": OBJECTS}.get(self.about["result"])

    def predict(self, image: Array, hints: Hints | None = None) -> Segmentation:
        """Segment one image, (H, W) or (H, W, C).

        Raises:
            SettingsError: hints that it needs are missing, or it takes a sequence of frames.
        """
        image = as_image(image)
        if self.about["sequence"]:
            raise SettingsError(f"{self.name} looks at motion and needs frames: a folder of them in order, or a video.")
        self.check_hints(hints)
        used = {*self.about["hints"], *self.about["optional_hints"]}
        if hints is not None and used & set(hints.kinds):
            return self._as_segmentation(self._segment(image, hints, **self.options))
        return self._as_segmentation(self._segment(image, **self.options))

    def check_hints(self, hints: Hints | None) -> None:
        """Refuse to go on without the hints that the method needs.

        Raises:
            SettingsError: there is none of them.
        """
        needed = self.about["hints"]
        if needed and (hints is None or not set(hints.kinds) & {*needed, *self.about["optional_hints"]}):
            given = f", and was given {' and '.join(hints.kinds)}" if hints is not None and hints.kinds else ""
            box = "--box x0,y0,x1,y1 or " if "box" in needed else ""
            raise SettingsError(
                f"{self.name} is interactive and needs hints: {' or '.join(needed)}{given}. Give {box}--hints FILE.png|json."
            )

    def segment_sequence(self, frames: Sequence[Array]) -> list[Segmentation]:
        """Segment frames of one size, in order: as motion, or each for itself where the method looks at single images."""
        if not self.about["sequence"]:
            return [self.predict(frame) for frame in frames]
        stack = [as_image(frame) for frame in frames]
        for number, frame in enumerate(stack):
            if frame.shape != stack[0].shape:
                raise SettingsError(
                    f"Frame {number} is {frame.shape} and the first {stack[0].shape} (height, width, channels); the frames of a "
                    "sequence are alike."
                )
        return [self._as_segmentation(ids) for ids in self._segment(np.stack(stack), **self.options)]

    def _as_segmentation(self, result: Array) -> Segmentation:
        kind = self.about["result"]
        if kind == "foreground":
            return LabelMap(result.astype(np.uint8), TWO_CLASSES)
        if kind == "objects":
            return Instances.from_ids(result, OBJECTS, 0)
        if kind == "hinted" and result.max(initial=0) <= 1:
            return LabelMap(result.astype(np.uint8), TWO_CLASSES)
        return LabelMap(result)


def create_method(name: str, **options: Any) -> Method:
    """The classical method called `name` as a predictor; see `Method`."""
    return Method(name, **options)


def check_options(about: MethodDescription, options: Mapping[str, Any]) -> None:
    """Refuse options that a method does not have, and values that they cannot have.

    Raises:
        SettingsError: with the options that there are.
    """
    for option, value in options.items():
        _check_option(about, option, value)


def _check_option(about: MethodDescription, option: str, value: Any) -> None:
    options, name, choices = about["options"], about["name"], about["choices"].get(option)
    if option not in options:
        near = nearest_names(option, options)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        listed = ", ".join(f"{key}={default!r}" for key, default in options.items())
        raise SettingsError(f"{name} has no option {option!r}.{hint} Its options and their defaults: {listed or 'none'}.")
    if choices and value not in choices:
        raise SettingsError(f"{name}'s option {option} can be {', '.join(map(repr, choices))}; {value!r} was given.")
    default = options[option]
    kinds = (int, float) if type(default) is float else (type(default),)
    if not choices and default is not None and type(value) not in kinds:
        raise SettingsError(f"{name}'s option {option} is of type {type(default).__name__}, as {default!r}; {value!r} was given.")
