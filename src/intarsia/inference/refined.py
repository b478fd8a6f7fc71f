"""A predictor whose label maps are refined by the image: `--refine crf`."""

from __future__ import annotations

import importlib
import inspect
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, asdict, fields, replace
from pathlib import Path
from typing import Any, Protocol

import tomli_w

from intarsia.classical import Method
from intarsia.core import (
    Array,
    ClassSpace,
    Hints,
    IntarsiaError,
    LabelMap,
    Predictor,
    Segmentation,
    SettingsError,
    Task,
    UnknownNameError,
    nearest_names,
)
from intarsia.core.whole_file import written_whole

__all__ = ["REFINEMENTS", "Refined", "Refinement", "create_refinement", "predict_with_prob", "write_refinement"]

REFINEMENTS = {
    "crf": "dense_crf.DenseCRF",
    "crf_deeplab": "dense_crf.DEEPLAB",
    "crf_deeplab_v2": "dense_crf.DEEPLAB_V2",
    "region_crf": "region_crf.RegionCRF",
}
"""By name, where in `intarsia.postprocess` a refinement is: a frozen dataclass whose fields, numbers, texts and
tuples of them, are its settings, or an instance of one."""


class Refinement(Protocol):
    """A label map, with its `prob` if it has one, and the image that it was made of: a better label map."""

    def __call__(self, prediction: LabelMap, image: Array, /) -> LabelMap: ...


class Refined:
    """A predictor and what refines it, as a predictor.

    The refinement is handed class probabilities where the predictor has them, else its hard labels.

    Args:
        predictor: that gives each pixel a class.
        refinement: such as `DenseCRF()`.
        name: of the refinement, as tables show it.

    Raises:
        SettingsError: the predictor makes regions or objects.
    """

    def __init__(self, predictor: Predictor, refinement: Refinement, name: str = "crf") -> None:
        if predictor.task != "semantic":
            kind = {"regions": "regions without classes", "instance": "objects"}.get(predictor.task, "segments")
            raise SettingsError(f"{predictor.name} makes {kind}; {name} refines predictions that give each pixel a class.")
        self.predictor, self.refinement, self.refinement_name = predictor, refinement, name

    @property
    def name(self) -> str:
        return f"{self.predictor.name} + {self.refinement_name}"

    @property
    def task(self) -> Task:
        return self.predictor.task

    @property
    def classes(self) -> ClassSpace | None:
        return self.predictor.classes

    @property
    def device(self) -> str:
        """Where the predictor runs."""
        return str(getattr(self.predictor, "device", "cpu"))

    def predict(self, image: Array, hints: Hints | None = None) -> LabelMap:
        """Segment one image, refined."""
        return self._refine(predict_with_prob(self.predictor, image, hints), image)

    def segment_sequence(self, frames: Sequence[Array]) -> list[Segmentation]:
        """Segment frames of one size, in order, each refined."""
        if isinstance(self.predictor, Method):
            found = self.predictor.segment_sequence(frames)
            return [self._refine(one, frame) for one, frame in zip(found, frames, strict=True)]
        return [self.predict(frame) for frame in frames]

    def _refine(self, found: Segmentation, image: Array) -> LabelMap:
        if not isinstance(found, LabelMap):
            raise SettingsError(f"{self.predictor.name} made a {type(found).__name__}; {self.refinement_name} takes label maps.")
        if found.classes is not None or found.prob is not None:
            return self.refinement(found, image)
        numbered = ClassSpace.from_names([str(number) for number in range(int(found.ids.max(initial=0)) + 1)])  # hints decided
        return LabelMap(self.refinement(LabelMap(found.ids, numbered), image).ids)


def predict_with_prob(predictor: Predictor, image: Array, hints: Hints | None = None) -> Segmentation:
    """What a predictor makes of an image, with class probabilities if it has them."""
    more = {"prob": True} if "prob" in inspect.signature(predictor.predict).parameters else {}
    return predictor.predict(image, hints, **more)


def create_refinement(
    name: str | None = None, settings: Mapping[str, Any] | None = None, file: str | Path | None = None
) -> tuple[str, Refinement]:
    """The refinement called `name` and its name, with the settings of a file, and over these the given ones.

    Args:
        name: one of `REFINEMENTS`; None if the file says it.
        settings: of it; those left out have the file's values, or their defaults.
        file: TOML, whose one table is called as the refinement is. `write_refinement` writes such.

    Raises:
        UnknownNameError: no such refinement.
        SettingsError: a setting that it does not have or a value that does not suit it, or a file that cannot be read.
    """
    saved_name, saved = _read(Path(file)) if file is not None else (name, {})
    name = name or saved_name
    if name not in REFINEMENTS:
        near = nearest_names(name or "", REFINEMENTS)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UnknownNameError(f"There is no refinement called {name!r}.{hint} Known: {', '.join(REFINEMENTS)}.")
    if saved_name != name:
        raise SettingsError(f"{file} holds the settings of {saved_name!r}, and {name!r} was asked for; name the one it holds.")
    module, thing = REFINEMENTS[name].split(".")
    found = getattr(importlib.import_module(f"intarsia.postprocess.{module}"), thing)
    values = {**saved, **(settings or {})}
    known = {field.name: field for field in fields(found)}
    defaults = {key: _default(field) if isinstance(found, type) else getattr(found, key) for key, field in known.items()}
    for key, value in values.items():
        _check_setting(name, defaults, key, value)
    missing = [key for key, default in defaults.items() if default is MISSING and key not in values]
    if missing:
        raise SettingsError(
            f"{name} has to be learnt before it refines: {', '.join(missing)} are missing. `intarsia fit-region-crf MODEL DATA` "
            "learns it, and writes the file that --refine-file reads."
        )
    try:
        refinement: Refinement = found(**values) if isinstance(found, type) else replace(found, **values)
    except (TypeError, ValueError) as error:
        if isinstance(error, IntarsiaError):
            raise
        tables = [key for key in values if defaults[key] is None or defaults[key] is MISSING]
        raise SettingsError(f"{name}'s {' or '.join(tables)} is no table of numbers, its rows equally long: {error}.") from error
    return name, refinement


def write_refinement(path: str | Path, name: str, refinement: Any, comment: str = "") -> Path:
    """Write the settings of a refinement as TOML that `create_refinement` reads, below lines of comment."""
    path = Path(path)
    settings = {key: value for key, value in asdict(refinement).items() if value is not None}
    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        partial.write_text(lines + tomli_w.dumps({name: settings}), encoding="utf-8")
    return path


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"The settings of a refinement cannot be read from {path}: {error}") from error
    if len(tables) != 1 or not all(isinstance(table, dict) for table in tables.values()):
        raise SettingsError(
            f"{path} holds {', '.join(tables) or 'nothing'}; one table such as [crf] with its settings is expected."
        )
    return next(iter(tables.items()))


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _check_setting(name: str, defaults: Mapping[str, Any], key: str, value: Any) -> None:
    if key not in defaults:
        near = nearest_names(key, defaults)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        listed = ", ".join(known if default is MISSING else f"{known}={default}" for known, default in defaults.items())
        raise SettingsError(f"{name} has no setting {key!r}.{hint} Its settings and their defaults: {listed}.")
    default = defaults[key]
    kinds = (int, float) if type(default) is float else (type(default),)
    if default is not None and default is not MISSING and type(value) not in kinds:
        raise SettingsError(f"{name}'s setting {key} is of type {type(default).__name__}, as {default!r}; {value!r} was given.")
