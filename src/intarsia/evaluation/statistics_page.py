"""What a data set holds, as one HTML file in the style of the report; nothing in it comes from outside."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

from intarsia.core.whole_file import written_whole
from intarsia.data.describe import SIZE_LIMITS, DataStatistics, side_counts
from intarsia.evaluation._html import count, percent, section, swatch

__all__ = ["write_statistics"]

LARGEST_MATRIX = 40
"""Classes; the co-occurrence of more would be too large to read."""
MOST_SIZES = 12
"""Image sizes that are listed."""

SHARES_IN_WORDS = (
    "<b>Share</b>: of the pixels that have a class, those of this one. <b>Images</b>: those in which it occurs. A share that "
    "differs much between train and val says that the split is unlucky; <code>intarsia split</code> makes a better one."
)
WEIGHTS_IN_WORDS = (
    "<b>f</b> of a class: its pixels divided by all pixels of the images in which it occurs. <b>Weight</b>: w = median(f) / f, "
    "the median over the classes that occur. A class as frequent as the median one weighs 1, one a hundred times rarer 100; one "
    "that does not occur weighs 0. <code>--class-weights median_frequency</code> trains with such weights, counted over train. "
    "Source: Eigen &amp; Fergus, ICCV 2015, section 6.3.1."
)
TOGETHER_IN_WORDS = (
    "Each row is a class: of the images in which it occurs, the share in which the other occurs too, in percent. On the diagonal "
    "is the share of all images in which it occurs. An empty cell: never together."
)


def write_statistics(path: str | Path, found: DataStatistics, *, command: str = "") -> Path:
    """Write the page.

    Args:
        path: of the file; folders are made.
        found: what was counted.
        command: what was typed.
    """
    path = Path(path)
    several = (found.all_pixels > 0).sum() > 1
    what = "pieces" if found.are_pieces else "objects"
    told = [
        ("classes", "Classes", _shares(found)),
        ("weights", "Weights that balance the classes", _weights(found) if several else ""),
        ("sizes", f"Sizes of {what}", _sizes(found) if found.object_areas else ""),
        ("together", "Classes that occur together", _together(found) if several else ""),
        ("images", "Sizes of images", _image_sizes(found)),
        ("command", "Command", f'<pre tabindex="0">{escape(command)}</pre>' if command else ""),
    ]
    told = [part for part in told if part[2]]
    contents = "".join(f'<a href="#{name}">{title}</a>' for name, title, _ in told)
    body = "\n".join([_headline(found), _notes(found), *(section(*part) for part in told)])
    counts = ", ".join(f"{number:,} {split}" for split, number in found.images.items())
    template = Template(files("intarsia.evaluation").joinpath("report.html").read_text(encoding="utf-8"))
    page = template.substitute(
        title=escape(f"What {found.name} holds"),
        about=escape(f"{found.task} truths; images: {counts}"),
        contents=f'<nav aria-label="Contents">{contents}</nav>',
        body=body,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def _headline(found: DataStatistics) -> str:
    pixels, total = found.all_pixels, sum(found.total_pixels.values())
    (height, width), most = next(iter(found.sizes_hw.items()))
    occurring = int((pixels > 0).sum())
    objects = sum(len(areas) for areas in found.object_areas.values())
    images = sum(found.images.values())
    rarest = found.classes.names[int(np.where(pixels > 0, pixels, pixels.max() + 1).argmin())]
    others = "objects that overlap count twice" if found.task == "instance" else "the others are ignored or void"
    others = "all of them" if pixels.sum() == total else others
    tiles = [
        ("classes", str(len(found.classes)), "all of them occur" if occurring == len(pixels) else f"{occurring} of them occur"),
        ("pixels with a class", percent(float(pixels.sum() / max(1, total))), others),
        ("pieces" if found.are_pieces else "objects", f"{objects:,}", f"{objects / images:.1f} an image"),
        ("usual size", f"{height} x {width}", f"height x width, of {most / images:.0%} of the images"),
        ("rarest class", escape(rarest), f"{percent(float(pixels[pixels > 0].min() / pixels.sum()))} of the pixels"),
    ]
    cards = "".join(f"<div><dt>{name}</dt><dd>{value}<small>{says}</small></dd></div>" for name, value, says in tiles)
    big = f'<div class="big"><span>images</span><strong>{images:,}</strong></div>'
    return f'<section class="headline">{big}<dl>{cards}</dl></section>'


def _notes(found: DataStatistics) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in found.notes)
    return f'<section class="notes"><ul>{items}</ul></section>' if items else ""


def _shares(found: DataStatistics) -> str:
    pixels, images = found.all_pixels, sum(found.images.values())
    share = pixels / max(1, pixels.sum())
    splits = list(found.pixels) if len(found.pixels) > 1 else []
    rows = []
    for index, entry in enumerate(found.classes.classes):
        within = int(found.together[index, index])
        drawn = f'<div class="bar"><i style="width:{100 * share[index] / max(share.max(), 1e-9):.1f}%"></i></div>'
        of_splits = [found.pixels[s][index] / max(1, found.pixels[s].sum()) for s in splits]
        rows.append(
            f'<tr><th scope="row">{swatch(entry.color)}{escape(entry.name)}</th><td><b>{percent(share[index])}</b></td>'
            f'<td class="barred">{drawn}</td>'
            f"<td>{within:,}</td><td>{percent(within / images)}</td>{''.join(f'<td>{percent(s)}</td>' for s in of_splits)}</tr>"
        )
    heads = (
        "class",
        "share",
        '<span class="unseen">share, drawn</span>',
        "images",
        "of all",
        *(f"share in {escape(s)}" for s in splits),
    )
    return _table("classes", heads, rows) + f'<p class="explain">{SHARES_IN_WORDS}</p>'


def _weights(found: DataStatistics) -> str:
    weights = found.weights
    frequency = found.all_pixels / np.maximum(found.host_pixels, 1)
    logs = np.log10(np.maximum(weights, 1e-9))
    reach = max(1e-9, float(np.abs(logs[weights > 0]).max(initial=0)))
    rows = []
    for index, entry in enumerate(found.classes.classes):
        log = float(logs[index] / reach) if weights[index] > 0 else 0.0
        left, width = (50, 50 * log) if log > 0 else (50 + 50 * log, -50 * log)
        bar = f'<div class="bar"><i style="inset:0 auto 0 {left:.1f}%;width:{width:.1f}%"></i></div>'
        rows.append(
            f'<tr><th scope="row">{swatch(entry.color)}{escape(entry.name)}</th><td>{frequency[index]:.4f}</td>'
            f'<td><b>{weights[index]:.3g}</b></td><td class="barred">{bar}</td></tr>'
        )
    heads = ("class", "f", "weight", f"{10**-reach:.2g} &larr; 1 &rarr; {10**reach:.3g}")
    return f"<p>{WEIGHTS_IN_WORDS}</p>{_table('classes', heads, rows)}"


def _sizes(found: DataStatistics) -> str:
    what = "connected pieces of a class (8 neighbours)" if found.are_pieces else "objects, without crowds"
    heads = ["class", "count", "median side", f"&lt; {SIZE_LIMITS[0]}", *map(str, SIZE_LIMITS)]
    rows = []
    listed = [(swatch(entry.color), entry.name) for entry in found.classes.classes if entry.name in found.object_areas]
    for mark, name in (("", None), *listed):
        areas = np.concatenate(list(found.object_areas.values())) if name is None else found.object_areas[name]
        counts = side_counts(areas)
        cells = "".join(
            f'<td style="--share:{number / counts.max():.3f}">{number:,}</td>' if number else '<td class="none"></td>'
            for number in counts.tolist()
        )
        rows.append(
            f'<tr><th scope="row">{mark}{escape(name or "all classes")}</th><td class="none">{len(areas):,}</td>'
            f'<td class="none">{np.sqrt(np.median(areas)):.0f} px</td>{cells}</tr>'
        )
    words = (
        f"Counted are {what}, by their side in pixels, which is the root of the area: a column holds those from its number up to "
        "the next. Bars are relative to the fullest column of the class. Smaller than the stride of a network is easily missed."
    )
    return _table("sizes", heads, rows) + f'<p class="explain">{words}</p>'


def _together(found: DataStatistics) -> str:
    names, together = found.classes.names, found.together
    if len(names) > LARGEST_MATRIX:
        return f"<p class='explain'>The table of {len(names)} classes would be too large to read; --json has it.</p>"
    images = sum(found.images.values())
    heads = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in names)
    rows = []
    for index, name in enumerate(names):
        within = int(together[index, index])
        shares = together[index] / max(1, within)
        shares[index] = within / images
        cells = "".join(
            f'<td class="right" style="--share:{share:.3f}">{f"{100 * share:.0f}" if share else ""}</td>'
            for share in shares.tolist()
        )
        empty = f'<td colspan="{len(names)}" class="none">occurs in no image</td>'
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells if within else empty}</tr>')
    cell_rem = min(4.0, max(1.55, 44 / len(names)))
    return (
        f'<div class="wide" tabindex="0"><table class="matrix{" dense" if len(names) > 16 else ""}" '
        f'style="--cell:{cell_rem:.2f}rem">'
        f"<thead><tr><td></td>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        f'<p class="explain">{TOGETHER_IN_WORDS}</p>'
    )


def _image_sizes(found: DataStatistics) -> str:
    images = sum(found.images.values())
    rows = [
        f'<tr><th scope="row">{height} x {width}</th><td>{number:,}</td><td class="barred"><div class="bar">'
        f'<i style="width:{100 * number / images:.1f}%"></i></div></td><td>{percent(number / images)}</td></tr>'
        for (height, width), number in list(found.sizes_hw.items())[:MOST_SIZES]
    ]
    rest = len(found.sizes_hw) - MOST_SIZES
    more = f'<p class="explain">and {count(rest, "other size")}</p>' if rest > 0 else ""
    return _table("classes", ("height x width", "images", '<span class="unseen">drawn</span>', "share"), rows) + more


def _table(kind: str, heads: Sequence[str], rows: Sequence[str]) -> str:
    columns = "".join(f'<th scope="col">{head}</th>' for head in heads)
    inside = f"<thead><tr>{columns}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="wide" tabindex="0"><table class="{kind}">{inside}</table></div>'
