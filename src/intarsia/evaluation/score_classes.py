"""What the values in mask files of any tool mean: the classes, and the value of pixels without truth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from intarsia.core import Array, ClassSpace, DataError, SegmentationClass, SettingsError, default_color
from intarsia.data.formats import MaskValues, read_mask_values

__all__ = ["USUAL_VOID", "Ignored", "Values", "ids_of", "ignored_value", "label_classes"]

USUAL_VOID = 255
SECOND = (1, USUAL_VOID)
"""What stands for the second of two classes, as different tools write it."""

Ignored = int | Literal["none"] | None
"""The value of pixels without truth, "none" where all have one, or None where nobody said."""


@dataclass
class Values:
    """The values in the masks of one side, and the classes that Intarsia stored in the first that has any."""

    found: set[int] = field(default_factory=set)
    stored: ClassSpace | None = None

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Values:
        """What the files hold."""
        values = cls()
        for path in paths:
            mask = read_mask_values(path)
            values.stored = values.stored or mask.classes
            values.found.update(np.unique(ids_of(mask, path)).tolist())
        return values


def ids_of(mask: MaskValues, path: Path) -> Array:
    """The ids in a mask, (H, W).

    Raises:
        DataError: colours.
    """
    if mask.kind != "color":
        return mask.values
    if not mask.is_grey:
        raise DataError(f"{path} holds RGB colours; scores take ids. Export masks with a number for each class or object.")
    return mask.values[..., 0]


def ignored_value(given: Ignored, true: Values, predicted: Values, *, numbers: bool = False) -> tuple[int | None, list[str]]:
    """The value of pixels that are left out, and what is to be said about it.

    Without one `given` it is 255 where that occurs in the truth only; of `numbers`, which count objects or regions, 255 is one
    like the others where 254 is.
    """
    if given == "none":
        return None, []
    if given is not None:
        return given, [] if given in true.found else [f"The value {given}, which is to be ignored, occurs in no truth."]
    if USUAL_VOID not in true.found or (numbers and USUAL_VOID - 1 in true.found):
        return None, []
    if USUAL_VOID in predicted.found:
        what = "an object or region" if numbers else "a class"
        return None, [f"255 occurs in truth and prediction and counts as {what}. Where it marks void, say --ignore 255."]
    said = "255 occurs in the truth only, so its pixels are ignored. Where it has a meaning, say --ignore none."
    return USUAL_VOID, [said]


def _is_binary(found: set[int]) -> bool:
    return any(found <= {0, inside} for inside in SECOND)


def label_classes(names: Sequence[str] | None, void: int | None, true: Values, predicted: Values) -> ClassSpace:
    """The classes of semantic masks: `names` of the ids 0, 1 ..., or else one class for each value seen.

    Where nothing is ignored and each side holds 0 and 1 only, or 0 and 255 only, 1 and 255 are one class.

    Raises:
        SettingsError: values without a name, a named class that is to be ignored, or nothing to score.
    """
    seen = sorted((true.found | predicted.found) - {void})
    binary = USUAL_VOID in seen and void is None and all(_is_binary(side.found) for side in (true, predicted))
    if binary and (names is None or len(names) == 2):
        first, second = names or ("0", "1 or 255" if 1 in seen else "255")
        entries = [SegmentationClass(first, default_color(0), (0,)), SegmentationClass(second, default_color(1), SECOND)]
        return ClassSpace(tuple(entries), USUAL_VOID)
    values = seen if names is None else list(range(len(names)))
    names = [str(value) for value in values] if names is None else names
    stray = [str(value) for value in seen if value not in values]
    if stray:
        raise SettingsError(
            f"The masks hold {', '.join(stray[:8])}, and the {len(names)} classes given are those of the values 0 to "
            f"{len(names) - 1}. Name all, or say --ignore for the value of pixels without truth."
        )
    if void in values:
        raise SettingsError(
            f"The value {void} is to be ignored, and it is the class {names[values.index(void)]!r}. Leave one out."
        )
    if not values:
        raise SettingsError(f"The masks hold nothing but {void}, which is ignored. Say --ignore with another value.")
    entries = [SegmentationClass(name, default_color(v % 256), (v,)) for name, v in zip(names, values, strict=True)]
    ignore_id = USUAL_VOID if len(names) <= USUAL_VOID else 65535
    return ClassSpace(tuple(entries), ignore_id, () if void is None or void == ignore_id else (void,))
