"""What is wrong with single pairs: files that cannot be read, sizes that differ, truths in which nothing is left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from intarsia.core import ClassSpace
from intarsia.data._findings import Finding, listed, plural, share
from intarsia.data._glances import Glance
from intarsia.data.datasets._faults import Fault

__all__ = ["find_in_areas", "find_in_files"]

TOLD = 3
"""Cases of a kind that are told in full."""


def find_in_files(glances: Sequence[Glance]) -> list[Finding]:
    """Files that cannot be used, and images and masks of different sizes."""
    return [*_of_faults(glances), *_of_sizes(glances)]


def _of_faults(glances: Sequence[Glance]) -> list[Finding]:
    """One finding for each kind of fault, which names the first files and lists all."""
    by_code: defaultdict[str, list[Fault]] = defaultdict(list)
    for glance in glances:
        for fault in glance.faults:
            by_code[fault.code].append(fault)
    found = []
    for code, faults in by_code.items():
        more = f" So it is with {plural(len(faults) - TOLD, 'other')}." if len(faults) > TOLD else ""
        message = " ".join(fault.message for fault in faults[:TOLD]) + more
        found.append(Finding.error(code, message, [file for fault in faults for file in fault.files]))
    return found


def _of_sizes(glances: Sequence[Glance]) -> list[Finding]:
    wrong = [(g, g.picture.size_hw, g.truth_hw) for g in glances if g.picture is not None and g.truth_hw is not None]
    wrong = [(glance, image, truth) for glance, image, truth in wrong if image != truth]
    if not wrong:
        return []
    cases = [
        f"{glance.files[0]} is {image[0]} x {image[1]} pixels (height x width) and {glance.files[1]} {truth[0]} x {truth[1]}"
        f"{_why_sizes_differ(glance.files, image, truth)}"
        for glance, image, truth in wrong[:TOLD]
    ]
    more = f" So it is with {plural(len(wrong) - TOLD, 'other pair')}." if len(wrong) > TOLD else ""
    advice = " Export both at one size; masks are scaled by the nearest pixel, without smoothing."
    message = f"{plural(wrong, 'mask')} {'has' if len(wrong) == 1 else 'have'} another size than the image: "
    files = [file for glance, *_ in wrong for file in glance.files]
    return [Finding.error("size_mismatch", f"{message}{'; '.join(cases)}.{more}{advice}", files)]


def _why_sizes_differ(files: Sequence[Path], image: tuple[int, int], truth: tuple[int, int]) -> str:
    if truth == image[::-1]:
        turned = next((f"{file.name} has" for file in files if _exif_orientation(file) > 4), "one of the two probably had")
        return (
            f"; it matches if rotated by 90 degrees: {turned} an EXIF orientation that says so, as telephones write it, and a "
            "program between did not heed it"
        )
    if abs(image[0] * truth[1] - image[1] * truth[0]) <= max(image + truth):
        return f", the same picture at {truth[0] / image[0]:.0%}"
    return ""


def _exif_orientation(path: Path) -> int:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return int(image.getexif().get(0x0112, 1))
    except Exception:  # whatever a damaged EXIF raises, it says nothing
        return 1


def find_in_areas(glances: Sequence[Glance], classes: ClassSpace) -> list[Finding]:
    """Truths of which nothing is left once ignored pixels are, and truths of one class only."""
    counted = [(glance, glance.areas) for glance in glances if glance.areas is not None]
    empty = [glance for glance, areas in counted if not areas[:-1].any() and areas[-1]]
    found = []
    if empty:
        names = listed(glance.files[1] if len(glance.files) > 1 else glance.key for glance in empty)
        values = sorted({str(v) for glance in empty if glance.look is not None for v in glance.look.counts})
        held = f", they hold nothing but {', '.join(values[:6])}" if values else ""
        found.append(
            Finding.error(
                "all_ignored",
                f"{plural(empty, 'mask')} of {len(counted)} {'has' if len(empty) == 1 else 'have'} no pixel left once those to "
                f"ignore are left out{held}: {names}. There is nothing to learn or to score. Were they exported before anything "
                "was drawn, or is a class declared as ignored? Draw them, or move them and their images out of the folder.",
                [file for glance in empty for file in glance.files[1:]],
            )
        )
    total = sum((areas for _, areas in counted), start=np.zeros(len(classes) + 1, np.int64))
    present = [name for name, pixels in zip(classes.names, total, strict=False) if pixels]
    if len(present) == 1:
        found.append(
            Finding.error(
                "one_class",
                f"All {len(counted)} masks together show one class, {present[0]!r}, and {share(total[-1], total.sum())} of their "
                "pixels are ignored. There is nothing to tell apart, and any model would score 100 %. Check the values of the "
                "other classes.",
            )
        )
    return found
