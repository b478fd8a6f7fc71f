"""What the values of masks say: which of them mean nothing, what they probably mean, and the declaration that says it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from intarsia.core import ClassSpace, ClassSpaceError, SegmentationClass, default_color
from intarsia.core.class_space import Source
from intarsia.data._findings import Finding, listed, plural, share
from intarsia.data.datasets._declared import TOML, block_for, where_to_say
from intarsia.data.datasets._faults import Fault
from intarsia.data.datasets._inferred import classes_of_colors
from intarsia.data.datasets._looks import Look, areas_of, shown, unclaimed, unpack
from intarsia.data.datasets._survey import Survey

__all__ = ["find_in_faults", "find_in_values"]

Claim = tuple[str, str, list[Look], ClassSpace | None]
"""Code, sentences, the masks concerned, and the classes that would read them."""


def find_in_values(survey: Survey, looks: Sequence[Look], classes: ClassSpace) -> tuple[list[Finding], ClassSpace | None]:
    """Errors about the values of masks, and one declaration that settles them all, where there is one.

    Args:
        survey: of the folder.
        looks: at every mask that can be read.
        classes: which the masks are read with, declared or inferred.
    """
    if not looks:
        return [], None
    binary = _binary(survey, looks, classes)
    claims = [binary] if binary is not None else [*_colors(survey, looks, classes), *_strange(survey, looks, classes)]
    suggested = next((space for *_, space in claims if space is not None and _reads_all(space, looks)), None)
    found = []
    for code, message, concerned, space in claims:
        files = [look.path for look in concerned]
        offers = suggested is not None and space is not None
        block = block_for(suggested, survey.root / TOML) if suggested is not None and offers else None
        found.append(Finding.error(code, f"{message} {where_to_say(survey.root / TOML)}" if offers else message, files, block))
    return found, suggested


def find_in_faults(survey: Survey, looks: Sequence[Look], faults: Sequence[Fault]) -> tuple[list[Finding], ClassSpace | None]:
    """Why masks cannot be understood, as errors; a single declared class is given its background."""
    values = sorted(_total(looks))
    space = None
    if survey.declared is not None and len(survey.declared) == 1 and len(values) == 2 and values[0] == 0:
        only = survey.declared.classes[0]
        kept = replace(only, sources=(values[1],), color=only.color if any(only.color) else default_color(1))
        space = ClassSpace((SegmentationClass("background", default_color(0), (0,)), kept))
    if space is None or space.names[0] == space.names[1] or not _reads_all(space, looks):
        return [Finding.error(fault.code, fault.message, fault.files) for fault in faults], None
    block = block_for(space, survey.root / TOML)
    return [Finding.error(f.code, f"{f.message} {where_to_say(survey.root / TOML)}", f.files, block) for f in faults], space


def _binary(survey: Survey, looks: Sequence[Look], classes: ClassSpace) -> Claim | None:
    """Masks of 0 and 255 only, all of them or some among others of 0 and 1."""
    if any(look.kind == "color" or look.says_its_classes for look in looks):
        return None
    total = _total(looks)
    others = sorted(set(total) - {0, 255})
    concerned = [look for look in looks if 255 in look.counts]
    is_ignored = classes.id_of_source.get(255) == classes.ignore_id
    if others:
        told_apart = len(others) == 1 and all(set(look.counts) == {0, 255} for look in concerned)
        is_meant = not is_ignored or 255 in classes.ignore_sources or not told_apart
    else:
        is_meant = survey.declared is not None and not is_ignored
    if is_meant or not {0, 255} <= set(total):
        return None
    two = classes if len(classes) == 2 else ClassSpace.from_names(["background", "foreground"])
    outside, inside = two.classes
    space = replace(
        two,
        classes=(replace(outside, sources=(0,)), replace(inside, sources=(*others, 255))),
        ignore_sources=(),
    )
    if others:
        begin = (
            f"{_some(concerned, looks)} 0 and 255 only, such as {concerned[0].path}, and the others 0 and {others[0]}: probably "
            "one class, saved in two ways. (If 255 marks pixels without truth, declare the classes and ignore = [255].)"
        )
    else:
        begin = (
            f"{_some(looks, looks)} only {_values(total, looks[0])}, and {_about_255(survey)}. Probably 0 is the "
            "background and 255 the object."
        )
    declared = (
        f" The declared classes ({listed(survey.declared.names, 8)}) do not claim it." if survey.declared is not None else ""
    )
    trap = " As 255 usually means 'ignore', the objects would be ignored, and a model that finds nothing would score 100 %."
    return "binary_masks", begin + declared + trap, concerned, space


def _about_255(survey: Survey) -> str:
    if survey.declared is None or 255 not in survey.declared.ignore_sources:
        return "nothing says what 255 means"
    return f"{survey.root / TOML if (survey.root / TOML).is_file() else 'the declaration'} ignores 255"


def _colors(survey: Survey, looks: Sequence[Look], classes: ClassSpace) -> list[Claim]:
    """RGB masks whose colours nobody declared."""
    by_color = any(isinstance(source, tuple) for entry in classes.classes for source in entry.sources)
    if survey.declared is not None:
        concerned = [] if by_color else [look for look in looks if look.kind == "color" and unclaimed(look, classes)]
    else:
        concerned = [look for look in looks if look.kind == "color"]
    if not concerned:
        return []
    total = _total(concerned)
    space = None
    if len(concerned) == len(looks):
        space = classes if survey.declared is None else _named_by_color(classes_of_colors(total), survey.declared)
    expected = (
        f"where class values {listed(_claimed(classes), 12)} were expected"
        if survey.declared
        else "and nothing says which class each is"
    )
    message = (
        f"{_some(concerned, looks)} RGB colours, {expected}: {_values(total, concerned[0])}. Probably "
        "they were exported as pictures for the eye. Export class values instead, or name the class of each colour."
    )
    return [("rgb_masks", message, concerned, space)]


def _named_by_color(space: ClassSpace, declared: ClassSpace) -> ClassSpace:
    """Colours that are the display colours of declared classes carry their names; black alone is so by chance."""
    names = {entry.color: entry.name for entry in declared.classes}
    if sum(entry.color in names for entry in space.classes) < 2:
        return space
    return replace(space, classes=tuple(replace(entry, name=names.get(entry.color, entry.name)) for entry in space.classes))


def _strange(survey: Survey, looks: Sequence[Look], classes: ClassSpace) -> list[Claim]:
    """Values that no class claims."""
    by_color = any(isinstance(source, tuple) for entry in classes.classes for source in entry.sources)
    found: list[Claim] = []
    strange: dict[bool, list[tuple[Look, dict[int, int]]]] = {False: [], True: []}
    for look in looks:
        if look.kind == "color" and not by_color:
            continue  # told by `_colors`
        values = unclaimed(look, classes)
        if values and look.says_its_classes:
            found.append(("other_classes", _refusal(look, classes), [look], None))
        elif values:
            strange[look.kind == "color"].append((look, values))
    for is_color, cases in strange.items():
        if cases:
            found.append(_claim_strange(looks, cases, classes, is_color=is_color))
    return found


def _claim_strange(
    looks: Sequence[Look], cases: Sequence[tuple[Look, dict[int, int]]], classes: ClassSpace, *, is_color: bool
) -> Claim:
    total, masks = Counter[int](), Counter[int]()
    for _, values in cases:
        total.update(values)
        masks.update(values.keys())
    worst, values = max(cases, key=lambda case: sum(case[1].values()) / case[0].pixels)
    pixels = sum(look.pixels for look in looks)
    in_worst = listed([f"{shown(v, is_color=is_color)} ({share(n, worst.pixels)})" for v, n in values.items()], 6)
    all_values = listed([f"{shown(v, is_color=is_color)} ({share(n, pixels)})" for v, n in total.most_common()], 6)
    message = (
        f"{_some([look for look, _ in cases], looks)} values that no class claims. In {worst.path}: "
        f"{in_worst} of its pixels; in all masks: {all_values}. The classes claim {listed(_claimed(classes), 20)}."
    )
    if worst.is_lossy:
        message += " The file is a JPEG, which changes values: export masks as PNG."
        return "unknown_ids", message, [look for look, _ in cases], None
    meaning, space = _with_values(classes, _total(looks), total, masks, len(looks), is_color=is_color)
    return "unknown_ids", f"{message} {meaning}", [look for look, _ in cases], space


def _with_values(
    classes: ClassSpace, found: Counter[int], strange: Counter[int], masks: Counter[int], count: int, *, is_color: bool
) -> tuple[str, ClassSpace]:
    """What values without a class probably are, and the classes with them."""
    if not is_color and set(found) - {255} == set(range(1, len(classes) + 1)) and not any(c.sources for c in classes.classes):
        shifted = tuple(replace(entry, sources=(index + 1,)) for index, entry in enumerate(classes.classes))
        return "The values probably count from 1.", replace(classes, classes=shifted)
    make: Callable[[int], Source] = unpack if is_color else int
    common = [v for v in sorted(strange) if masks[v] >= max(2, count / 20) and (is_color or v != 255)]
    rest = [v for v in sorted(strange) if v not in common]
    kept = [entry if is_color or entry.sources else replace(entry, sources=(i,)) for i, entry in enumerate(classes.classes)]
    added = [
        SegmentationClass(
            f"color_{v:06x}" if is_color else f"class_{v}", unpack(v) if is_color else default_color(len(kept) + i), (make(v),)
        )
        for i, v in enumerate(common)
    ]
    ignored = (*classes.ignore_sources, *map(make, rest))
    words = []
    if common:
        names = listed([shown(v, is_color=is_color) for v in common], 12)
        words.append(
            f"{names} {'occurs' if len(common) == 1 else 'occur'} in many masks, probably a class that is not listed: name it."
        )
    if rest:
        names = listed([shown(v, is_color=is_color) for v in rest], 12)
        are = "is" if len(rest) == 1 else "are"
        words.append(
            f"{names} {are} probably a slip or a mark of another tool, ignored in what follows; if it is a class, list it."
        )
    try:
        return " ".join(words), replace(classes, classes=(*kept, *added), ignore_sources=ignored)
    except ClassSpaceError:  # a name or an id is taken
        return " ".join(words), classes


def _reads_all(space: ClassSpace, looks: Sequence[Look]) -> bool:
    return not any(unclaimed(look, space) for look in looks)


def _refusal(look: Look, classes: ClassSpace) -> str:
    try:
        areas_of(look, classes)
    except ClassSpaceError as error:
        return str(error)
    return ""


def _claimed(classes: ClassSpace) -> list[str]:
    claimed = [s for s, i in classes.id_of_source.items() if i != classes.ignore_id]
    ignored = [s for s, i in classes.id_of_source.items() if i == classes.ignore_id]
    return [_source(s) for s in claimed] + [f"{_source(s)} = ignore" for s in ignored]


def _source(source: Source) -> str:
    return "#{:02x}{:02x}{:02x}".format(*source) if isinstance(source, tuple) else str(source)


def _total(looks: Sequence[Look]) -> Counter[int]:
    total: Counter[int] = Counter()
    for look in looks:
        total.update(look.counts)
    return total


def _values(total: Counter[int], example: Look) -> str:
    pixels = sum(total.values())
    values = [f"{shown(v, is_color=example.kind == 'color')} ({share(n, pixels)})" for v, n in total.most_common()]
    return f"{listed(values, 6) if len(values) != 2 else ' and '.join(sorted(values))} of their pixels, such as {example.path}"


def _some(concerned: Sequence[Look], looks: Sequence[Look]) -> str:
    """The beginning of a sentence: "All 8 masks hold", "1 mask of 8 holds"."""
    every = len(concerned) == len(looks)
    which = f"All {len(looks)} masks" if every and len(looks) > 1 else f"{plural(concerned, 'mask')} of {len(looks)}"
    return f"{which} {'holds' if len(concerned) == 1 else 'hold'}"
