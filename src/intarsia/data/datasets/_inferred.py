"""What the classes of a folder are: those declared, or those that its masks, object numbers or file names seem to mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from intarsia.core import ClassSpace, SegmentationClass, default_color
from intarsia.data.datasets import _looks
from intarsia.data.datasets._class_files import describe_class_files, read_labels
from intarsia.data.datasets._faults import Fault, FaultyFolder
from intarsia.data.datasets._looks import Look, evenly, look_at_all, pack, refuse_what_is_no_mask, shown, unpack
from intarsia.data.datasets._pairs import Pair
from intarsia.data.formats.class_files import IGNORE

__all__ = ["classes_of_colors", "classes_of_names", "count_named", "settle_classes"]

LookAtAll = Callable[[Sequence[Path]], list[Look]]
CountNamed = Callable[[Mapping[str, Path], ClassSpace], Counter[str]]


def count_named(of_image: Mapping[str, Path], classes: ClassSpace, *, last_wins: bool = False) -> Counter[str]:
    """The pixels of each class, and of "ignore", in the files per class of one image."""
    labels = read_labels(of_image, classes, last_wins=last_wins)
    return Counter(labels.areas() | {IGNORE: int((labels.ids == classes.ignore_id).sum())})


def settle_classes(
    name: str,
    declared: ClassSpace | None,
    pairs: Collection[Pair],
    *,
    look_at_all: LookAtAll = look_at_all,
    count_named: CountNamed = count_named,
) -> tuple[ClassSpace, str | None]:
    """The classes that the truths are read with, and what is to be said about them.

    Args:
        name: of the folder.
        declared: the classes, if they are.
        pairs: the files of each sample.
        look_at_all: what counts the values of masks; `check` has counted them already.
        count_named: what counts the pixels in files per class; likewise.

    Raises:
        FaultyFolder: masks that cannot be understood.
    """
    masks = [pair.mask for pair in pairs if pair.mask is not None]
    class_files = [pair.class_files for pair in pairs if pair.class_files]
    if not masks and not class_files:
        return _classes_of_objects(name, declared)
    if declared is None and masks and class_files:
        raise FaultyFolder(
            Fault(
                "mixed_masks",
                f"{masks[0]} is the one mask of its image, and {next(iter(class_files[0].values()))} one of several, one per "
                "class; the values of the first do not tell which class they mean. Declare the classes in intarsia.toml.",
                (masks[0], *class_files[0].values()),
            )
        )
    if declared is None:
        if class_files:
            return _infer_from_class_files(class_files, count_named)
        return _infer_classes(look_at_all(evenly(masks)), len(masks))
    if len(declared) == 1:
        raise FaultyFolder(
            Fault(
                "one_class",
                f"{name} declares one class, {declared.names[0]!r}; masks tell two or more apart. Declare 'background' too.",
            )
        )
    settled, said = _settle_binary(declared, masks, look_at_all) if masks else (declared, None)
    files_said = describe_class_files(class_files, settled.names) if class_files else None
    return settled, " ".join(filter(None, (said, files_said))) or None


def _classes_of_objects(name: str, declared: ClassSpace | None) -> tuple[ClassSpace, str]:
    """Background and one kind of object, which is all that object numbers without masks say."""
    if declared is not None and len(declared) > 2:
        raise FaultyFolder(
            Fault(
                "declaration",
                f"{name} declares {len(declared)} classes, and object numbers alone do not say which of them an object is. Put "
                "the class of each pixel into masks/, or declare two classes: the background and the object.",
            )
        )
    if declared is None or len(declared) == 1:
        thing = declared.names[0] if declared is not None else "object"
        declared = ClassSpace.from_names(["background", thing], things=[thing])
    return declared, f"Object numbers: 0 is {declared.names[0]}, any other is {declared.names[1]}."


def _infer_classes(looks: Sequence[Look], count: int) -> tuple[ClassSpace, str]:
    """The classes that `looks`, of `count` masks, seem to hold, and a sentence that says how they were found.

    Masks that Intarsia wrote say their classes. {0, 255} is background and foreground; values without gaps from 0 are ids; with
    gaps each value is a class; 255 beside other values is ignored, unless the values are grey levels at even steps; in colour
    masks each colour is a class, and so it is in palette masks whose files give one index different colours.

    Raises:
        FaultyFolder: masks that hold one value only, or so many that they are no masks of classes.
    """
    said = f"{f'{len(looks)} of ' if len(looks) < count else ''}{count} {'mask' if count == 1 else 'masks'}"
    stored = [look.classes for look in looks]
    if stored[0] is not None and all(classes == stored[0] for classes in stored):
        return stored[0], f"Classes as stored in the {said}: {', '.join(stored[0].names)}."
    kinds = {look.kind: look for look in reversed(looks)}
    by_color = "color" in kinds or _palettes_differ(looks)
    if by_color and "index" in kinds:
        colored = kinds.get("color") or kinds["palette"]
        raise FaultyFolder(
            Fault(
                "mixed_masks",
                f"{colored.path} holds colours and {kinds['index'].path} grey values, so one value has no one meaning. "
                "Export all masks in one form, or declare the classes in intarsia.toml.",
                (colored.path, kinds["index"].path),
            )
        )
    total: Counter[int] = Counter()
    for look in looks:
        total.update(_as_colors(look) if by_color else look.counts)
        refuse_what_is_no_mask(total, look)
    if len(total) == 1:
        value = shown(next(iter(total)), is_color=by_color)
        raise FaultyFolder(
            Fault(
                "one_class",
                f"All {said} hold nothing but the value {value} (such as {looks[0].path}): there is nothing to tell apart. Were "
                "they exported before anything was drawn?",
                tuple(look.path for look in looks),
            )
        )
    classes = classes_of_colors(total) if by_color else _of_values(total, _palette_of(looks))
    what = "RGB colours" if "color" in kinds else "palette colours" if by_color else "palette indices"
    return classes, _sentence(classes, total, f"{said} of {what if 'palette' in kinds or by_color else 'grey values'}")


def classes_of_names(files: Iterable[Mapping[str, Path]]) -> ClassSpace:
    """A class for each name among the files of all images, after a background that takes the pixels in no file."""
    named = {name for of_image in files for name in of_image} - {IGNORE}
    return ClassSpace.from_names(["background", *sorted(named - {"background"})])


def _infer_from_class_files(files: Sequence[Mapping[str, Path]], count_named: CountNamed) -> tuple[ClassSpace, str]:
    """`classes_of_names`, without the background if no pixel is left to it, and a sentence.

    Raises:
        DataError: files that are no binary masks, or that overlap.
        FaultyFolder: files that leave every pixel to one class.
    """
    classes = classes_of_names(files)
    names = list(classes.names)
    has_background_files = any("background" in of_image for of_image in files)
    looked_at = evenly(files, max(1, _looks.MOST_FILES // max(1, len(names) - (not has_background_files))))
    total: Counter[str] = Counter()
    with ThreadPoolExecutor(_looks.THREADS) as pool:
        for counts in pool.map(lambda of_image: count_named(of_image, classes), looked_at):
            total.update(counts)
    if not total["background"] and not has_background_files:
        names.remove("background")
        classes = ClassSpace.from_names(names) if names else classes
    present = [name for name in names if total[name]]
    if len(present) < 2:
        first = next(iter(files[0].values()))
        raise FaultyFolder(
            Fault(
                "one_class",
                f"The files per class, such as {first}, leave every pixel to {''.join(present) or IGNORE!r}: there is nothing to "
                "tell apart. Were they exported before anything was drawn?",
                (first,),
            )
        )
    pixels = sum(total.values())
    rest = "" if has_background_files else " = the rest"
    listed = [f"{name}{rest if name == 'background' else ''} ({total[name] / pixels:.1%})" for name in names[:12]]
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    ignored = f"; ignored ({total[IGNORE] / pixels:.1%})" if total[IGNORE] else ""
    some = f", as {len(looked_at)} of them show" if len(looked_at) < len(files) else ""
    return classes, (
        f"{describe_class_files(files, names)} {len(names)} classes inferred from their names{some}: "
        f"{', '.join(listed)}{more}{ignored}. Declare them in intarsia.toml to set order and colours."
    )


def _settle_binary(classes: ClassSpace, files: Sequence[Path], look_at_all: LookAtAll) -> tuple[ClassSpace, str | None]:
    """Two classes declared by name only, whose masks hold 0 and 255: then 255 is the second class, and not "ignore".

    Left as it is, the whole foreground would be ignored and any model score a perfect 1.
    """
    if len(classes) != 2 or classes.ignore_sources or any(entry.sources for entry in classes.classes):
        return classes, None
    total: Counter[int] = Counter()
    for look in look_at_all(evenly(files)):
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


def classes_of_colors(total: Iterable[int]) -> ClassSpace:
    """A class for each packed colour."""
    colors = [unpack(value) for value in sorted(total)]  # black, the usual background, comes first
    names = [f"color_{pack(color):06x}" for color in colors]
    if len(colors) == 2 and colors[0] == (0, 0, 0):
        names = ["background", "foreground"]
    return ClassSpace(tuple(SegmentationClass(n, c, (c,)) for n, c in zip(names, colors, strict=True)), _ignore_id(len(colors)))


def _of_values(total: Iterable[int], palette: dict[int, int]) -> ClassSpace:
    values = sorted(total)
    if values[0] < 0:
        message = f"The masks hold {values[0]}; values that stand for classes are not negative. Are they heights or distances?"
        raise FaultyFolder(Fault("not_masks", message))
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
            unpack(palette[value]) if palette and tells_apart else default_color(index),
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
        source = unpack(value) if any(isinstance(s, tuple) for s in classes.id_of_source) else value
        shares[classes.id_of_source[source]] += count
    listed = [f"{name} = {_shown(classes, i)} ({shares[i] / pixels:.1%})" for i, name in enumerate(classes.names[:12])]
    more = f" and {len(classes) - 12} more" if len(classes) > 12 else ""
    ignored = f"; 255 is ignored ({shares[classes.ignore_id] / pixels:.1%})" if shares[classes.ignore_id] else ""
    return f"{len(classes)} classes inferred from {said}: {', '.join(listed)}{more}{ignored}. Name them in intarsia.toml."


def _shown(classes: ClassSpace, index: int) -> str:
    source = (classes.classes[index].sources or (index,))[0]
    return shown(pack(source), is_color=True) if isinstance(source, tuple) else str(source)
