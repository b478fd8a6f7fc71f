"""Splits whose score would be refused: most of their pixels are ignored, or they show one class only."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from intarsia.core import Array, ClassSpace, ClassSpaceError, SegmentationClass, default_color
from intarsia.core.class_space import Source
from intarsia.data._findings import Finding, listed, share
from intarsia.data._glances import Glance
from intarsia.data.datasets._declared import block_for, where_to_say
from intarsia.data.datasets._looks import Look, areas_of, unclaimed, unpack
from intarsia.data.stats import LEAST_SCORED

__all__ = ["find_unscored"]


def find_unscored(
    glances: Sequence[Glance], classes: ClassSpace, toml: Path | None = None
) -> tuple[list[Finding], ClassSpace | None]:
    """Findings about train and val, and classes in which the value that is ignored most is a class.

    Most pixels may well be ignored where only some were annotated, so it is an error only if nobody declared it.

    Args:
        glances: with their areas.
        classes: which the truths are read with.
        toml: the file that would declare them otherwise; None where none is read.
    """
    areas: defaultdict[str, Array] = defaultdict(lambda: np.zeros(len(classes) + 1, np.int64))
    for glance in glances:
        if glance.areas is not None:
            areas[glance.split] += glance.areas
    found = _one_class(areas, classes)
    mostly = [s for s in ("train", "val") if s in areas and areas[s][:-1].sum() < LEAST_SCORED * areas[s].sum()]
    ignored = {split: _ignored(glances, split, classes) for split in mostly}
    most = sum(ignored.values(), Counter[Source]()).most_common(1)
    looks = [glance.look for glance in glances if glance.look is not None]
    space = _with_class(classes, most[0][0], looks) if most and toml is not None else None
    tell = Finding.warning if toml is None or toml.exists() else Finding.error
    for split in mostly:
        total = areas[split].sum()
        values = listed([f"{_shown(v)} ({share(n, total)})" for v, n in ignored[split].most_common()], 6)
        message = (
            f"Only {share(areas[split][:-1].sum(), total)} of the pixels of {split} have a class; the others are ignored"
            f"{f': {values}' if values else ''}. Nothing is learnt from them, and a score is refused where less than "
            f"{share(LEAST_SCORED, 1)} can be scored. Probably a value that means a class is among those to ignore."
        )
        if space is None or toml is None:
            found.append(tell("mostly_ignored", message))
        else:
            message += f" If {_shown(most[0][0])} means a class, name it. {where_to_say(toml)}"
            found.append(tell("mostly_ignored", message, fix=block_for(space, toml)))
    return found, space


def _one_class(areas: dict[str, Array], classes: ClassSpace) -> list[Finding]:
    """Val that shows one of the several classes that the data show; one class everywhere is told as such."""
    everywhere = np.sum(list(areas.values()), axis=0)[:-1] if areas else np.zeros(0)
    if "val" not in areas or np.count_nonzero(areas["val"][:-1]) != 1 or np.count_nonzero(everywhere) == 1:
        return []
    name = classes.names[int(areas["val"][:-1].argmax())]
    message = (
        f"The masks of val show one class, {name!r}, and {share(areas['val'][-1], areas['val'].sum())} of their pixels are "
        "ignored. Any model that always answers it would score 100 %, so no score is given. Move images that show other classes "
        "into val, or check the values of its masks."
    )
    return [Finding.warning("one_class", message)]


def _ignored(glances: Sequence[Glance], split: str, classes: ClassSpace) -> Counter[Source]:
    """The values that are ignored in the masks of a split, and their pixels."""
    found: Counter[Source] = Counter()
    for look in (glance.look for glance in glances if glance.split == split and glance.look is not None):
        if not look.says_its_classes and not unclaimed(look, classes) and areas_of(look, classes)[-1]:
            for value, pixels in look.counts.items():
                if areas_of(replace(look, counts={value: pixels}), classes)[-1]:
                    found[unpack(value) if look.kind == "color" else value] += pixels
    return found


def _with_class(classes: ClassSpace, value: Source, looks: Sequence[Look]) -> ClassSpace | None:
    """The classes and one more, which `value` means; None where masks cannot be read so."""
    is_color = isinstance(value, tuple)
    name = "color_{:02x}{:02x}{:02x}".format(*value) if isinstance(value, tuple) else f"class_{value}"
    added = SegmentationClass(name, value if isinstance(value, tuple) else default_color(len(classes)), (value,))
    kept = [entry if is_color or entry.sources else replace(entry, sources=(i,)) for i, entry in enumerate(classes.classes)]
    ignored = tuple(source for source in classes.ignore_sources if source != value)
    try:
        space = replace(classes, classes=(*kept, added), ignore_sources=ignored)
    except ClassSpaceError:  # the name is taken
        return None
    return None if any(unclaimed(look, space) for look in looks) else space


def _shown(value: Source) -> str:
    return "#{:02x}{:02x}{:02x}".format(*value) if isinstance(value, tuple) else str(value)
