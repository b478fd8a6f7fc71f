"""What the classes of undeclared masks probably are, from the values that occur in all of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from intarsia.core import ClassSpace, DataError, SegmentationClass, default_color
from intarsia.core.class_space import Color
from intarsia.data.datasets._class_files import describe_class_files, read_labels
from intarsia.data.formats import MaskValues, read_mask_values
from intarsia.data.formats.class_files import IGNORE

__all__ = ["infer_classes", "infer_from_class_files", "settle_binary"]

T = TypeVar("T")
MOST_FILES = 2000
"""More masks than this are sampled at even steps; a value met later is an error that names its file."""
MOST_VALUES = 200
"""Of one data set; COCO-Stuff, the largest label set in wide use, has 182."""


@dataclass(frozen=True)
class Look:
    """What one mask holds: pixels by value (colours packed as 0xRRGGBB), the colours of its palette by index, its own classes."""

    path: Path
    kind: str
    counts: dict[int, int]
    palette: dict[int, int]
    classes: ClassSpace | None
    is_lossy: bool


def infer_classes(files: Sequence[Path]) -> tuple[ClassSpace, str]:
    """The classes that the masks seem to hold, and a sentence that says how they were found.

    Masks that Intarsia wrote say their classes. {0, 255} is background and foreground; values without gaps from 0 are ids; with
    gaps each value is a class; 255 beside other values is ignored, unless the values are grey levels at even steps; in colour
    masks each colour is a class, and so it is in palette masks whose files give one index different colours.

    Raises:
        DataError: masks that cannot be read, hold one value only, or so many that they are no masks of classes.
    """
    looks = _look_at_all(files)
    said = f"{f'{len(looks)} of ' if len(looks) < len(files) else ''}{len(files)} {'mask' if len(files) == 1 else 'masks'}"
    stored = [look.classes for look in looks]
    if stored[0] is not None and all(classes == stored[0] for classes in stored):
        return stored[0], f"Classes as stored in the {said}: {', '.join(stored[0].names)}."
    kinds = {look.kind: look for look in reversed(looks)}
    by_color = "color" in kinds or _palettes_differ(looks)
    if by_color and "index" in kinds:
        colored = kinds.get("color") or kinds["palette"]
        raise DataError(
            f"{colored.path} holds colours and {kinds['index'].path} grey values, so one value has no one meaning. "
            "Export all masks in one form, or declare the classes in intarsia.toml."
        )
    total: Counter[int] = Counter()
    for look in looks:
        total.update(_as_colors(look) if by_color else look.counts)
        _refuse_what_is_no_mask(total, look)
    if len(total) == 1:
        value = next(iter(total))
        raise DataError(
            f"All {said} hold nothing but the value {f'#{value:06x}' if by_color else value} (such as {looks[0].path}): there is "
            "nothing to tell apart. Were they exported before anything was drawn?"
        )
    classes = _of_colors(total) if by_color else _of_values(total, _palette_of(looks))
    what = "RGB colours" if "color" in kinds else "palette colours" if by_color else "palette indices"
    return classes, _sentence(classes, total, f"{said} of {what if 'palette' in kinds or by_color else 'grey values'}")


def infer_from_class_files(files: Sequence[Mapping[str, Path]]) -> tuple[ClassSpace, str]:
    """A class for each name among the files of all images, after a background if any pixel is left to it, and a sentence.

    Raises:
        DataError: files that are no binary masks, that overlap, or that leave every pixel to one class.
    """
    named = {name for of_image in files for name in of_image} - {IGNORE}
    names = ["background", *sorted(named - {"background"})]
    classes = ClassSpace.from_names(names)

    def count(of_image: Mapping[str, Path]) -> Counter[str]:
        labels = read_labels(of_image, classes)
        return Counter(labels.areas() | {IGNORE: int((labels.ids == classes.ignore_id).sum())})

    looked_at = _sample(files, max(1, MOST_FILES // len(named)))
    total: Counter[str] = Counter()
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for counts in pool.map(count, looked_at):
            total.update(counts)
    if not total["background"] and "background" not in named:
        names.remove("background")
        classes = ClassSpace.from_names(names)
    present = [name for name in names if total[name]]
    if len(present) < 2:
        raise DataError(
            f"The files per class, such as {next(iter(files[0].values()))}, leave every pixel to {''.join(present) or IGNORE!r}: "
            "there is nothing to tell apart. Were they exported before anything was drawn?"
        )
    pixels = sum(total.values())
    rest = "" if "background" in named else " = the rest"
    listed = [f"{name}{rest if name == 'background' else ''} ({total[name] / pixels:.1%})" for name in names[:12]]
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    ignored = f"; ignored ({total[IGNORE] / pixels:.1%})" if total[IGNORE] else ""
    some = f", as {len(looked_at)} of them show" if len(looked_at) < len(files) else ""
    return classes, (
        f"{describe_class_files(files, names)} {len(names)} classes inferred from their names{some}: "
        f"{', '.join(listed)}{more}{ignored}. Declare them in intarsia.toml to set order and colours."
    )


def settle_binary(classes: ClassSpace, files: Sequence[Path]) -> tuple[ClassSpace, str | None]:
    """Two classes declared by name only, whose masks hold 0 and 255: then 255 is the second class, and not "ignore".

    Left as it is, the whole foreground would be ignored and any model score a perfect 1.
    """
    if len(classes) != 2 or classes.ignore_sources or any(entry.sources for entry in classes.classes):
        return classes, None
    looks = _look_at_all(files)
    total: Counter[int] = Counter()
    for look in looks:
        total.update(look.counts if look.kind != "color" and look.classes is None else {-1: 1})
    if set(total) != {0, 255}:
        return classes, None
    first, second = classes.classes
    settled = ClassSpace(
        (
            SegmentationClass(first.name, first.color, (0,), first.is_thing),
            SegmentationClass(second.name, second.color, (255,), second.is_thing),
        ),
        classes.ignore_id,
    )
    return settled, f"The masks hold 0 and 255 only: 255 is read as {second.name!r}, not as pixels to ignore."


def _look_at_all(files: Sequence[Path]) -> list[Look]:
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(_look, _sample(files, MOST_FILES)))


def _sample(files: Sequence[T], most: int) -> list[T]:
    return [files[i] for i in np.linspace(0, len(files) - 1, min(len(files), most)).astype(int)]


def _look(path: Path) -> Look:
    mask = read_mask_values(path)
    kind = "grey in RGB" if mask.is_grey else mask.kind
    counts = _count(mask, kind)
    palette = {} if mask.palette is None else {v: _pack(mask.palette[v].tolist()) for v in counts}
    look = Look(path, kind, counts, palette, mask.classes, mask.is_lossy)
    if len(counts) > MOST_VALUES:  # before thousands of such files are counted together
        _refuse_what_is_no_mask(Counter(counts), look)
    return look


def _count(mask: MaskValues, kind: str) -> dict[int, int]:
    values = mask.values
    if kind == "color":
        values = values[..., 0].astype(np.int32) << 16 | values[..., 1].astype(np.int32) << 8 | values[..., 2]
    elif kind == "grey in RGB":
        values = values[..., 0]
    if values.dtype == np.uint8:
        per_value = np.bincount(values.ravel(), minlength=256)
        found = np.flatnonzero(per_value)
        return dict(zip(found.tolist(), per_value[found].tolist(), strict=True))
    found, pixels = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), pixels.tolist(), strict=True))


def _refuse_what_is_no_mask(total: Counter[int], look: Look) -> None:
    """Refuse values, counted up to the file `look`, that no drawing of classes gives."""
    between = [value for value in total if 0 < value < 255]
    ends = (total[0] + total[255]) / sum(total.values())
    smoothed = look.kind != "color" and len(between) >= 16 and sum(v > 127 for v in between) >= 4 and total[255] and ends > 0.8
    if look.is_lossy and len(total) > 2:
        cause = "JPEG smeared the labels. Export masks as PNG"
    elif smoothed:
        cause = f"0 and 255 fill {ends:.0%} and the rest lies between, so they were resized with smoothing. Export them without"
    elif len(total) <= MOST_VALUES:
        return
    elif look.kind == "color":
        cause = "a photograph, or masks resized with smoothing. Export them without"
    else:
        cause = "object numbers, which belong in instances/, or an image"
    raise DataError(f"The masks up to {look.path} hold {len(total):,} different values, which are no classes: {cause}.")


def _palettes_differ(looks: Iterable[Look]) -> bool:
    """Whether files give one index different colours, as programs that sort palettes do: then the colours carry the meaning."""
    seen: dict[int, int] = {}
    return any(seen.setdefault(value, color) != color for look in looks for value, color in look.palette.items())


def _palette_of(looks: Iterable[Look]) -> dict[int, int]:
    return {value: color for look in looks for value, color in look.palette.items()}


def _as_colors(look: Look) -> dict[int, int]:
    if look.kind == "color":
        return look.counts
    colors: Counter[int] = Counter()
    for value, pixels in look.counts.items():
        colors[look.palette[value] if look.palette else value * 0x010101] += pixels
    return colors


def _of_colors(total: Iterable[int]) -> ClassSpace:
    colors = [_unpack(value) for value in sorted(total)]  # black, the usual background, comes first
    names = [f"color_{_pack(color):06x}" for color in colors]
    if len(colors) == 2 and colors[0] == (0, 0, 0):
        names = ["background", "foreground"]
    return ClassSpace(tuple(SegmentationClass(n, c, (c,)) for n, c in zip(names, colors, strict=True)), _ignore_id(len(colors)))


def _of_values(total: Iterable[int], palette: dict[int, int]) -> ClassSpace:
    values = sorted(total)
    if values[0] < 0:
        raise DataError(
            f"The masks hold {values[0]}; values that stand for classes are not negative. Are they heights or distances?"
        )
    ignored: tuple[int, ...] = ()
    if 255 in values and len(values) > 2 and not _are_grey_levels(values):
        values.remove(255)
        ignored = (255,)
    count = len(values)
    are_ids = values == list(range(count))
    names = ["background", "foreground"] if count == 2 and values[0] == 0 else [f"class_{value}" for value in values]
    tells_apart = len({palette.get(value) for value in values}) == count
    classes = tuple(
        SegmentationClass(
            names[index],
            _unpack(palette[value]) if palette and tells_apart else default_color(index),
            () if are_ids else (value,),
        )
        for index, value in enumerate(values)
    )
    return ClassSpace(classes, _ignore_id(count), ignored if _ignore_id(count) != 255 else ())


def _are_grey_levels(values: Sequence[int]) -> bool:
    """0, 127, 255 or 0, 85, 170, 255 ...: classes painted as grey levels, of which 255 is one."""
    steps = np.diff(values)
    return bool(values[0] == 0 and values[-1] == 255 and steps.min() >= 16 and steps.max() - steps.min() <= 2)


def _ignore_id(count: int) -> int:
    return 255 if count <= 255 else 65535


def _sentence(classes: ClassSpace, total: Counter[int], said: str) -> str:
    pixels = sum(total.values())
    shares = Counter[int]()
    for value, count in total.items():
        source = _unpack(value) if any(isinstance(s, tuple) for s in classes.id_of_source) else value
        shares[classes.id_of_source[source]] += count
    listed = [f"{name} = {_shown(classes, i)} ({shares[i] / pixels:.1%})" for i, name in enumerate(classes.names[:12])]
    more = f" and {len(classes) - 12} more" if len(classes) > 12 else ""
    ignored = f"; 255 is ignored ({shares[classes.ignore_id] / pixels:.1%})" if shares[classes.ignore_id] else ""
    return f"{len(classes)} classes inferred from {said}: {', '.join(listed)}{more}{ignored}. Name them in intarsia.toml."


def _shown(classes: ClassSpace, index: int) -> str:
    source = (classes.classes[index].sources or (index,))[0]
    return f"#{_pack(source):06x}" if isinstance(source, tuple) else str(source)


def _pack(color: Sequence[int]) -> int:
    return color[0] << 16 | color[1] << 8 | color[2]


def _unpack(value: int) -> Color:
    return value >> 16, value >> 8 & 255, value & 255
