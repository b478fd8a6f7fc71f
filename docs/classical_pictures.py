"""Draws the pictures of docs/classical.md, and puts them on the page.

    python docs/classical_pictures.py ../shared/data [METHOD ...]

writes docs/images/classical/METHOD.jpg: above what a method gets, below what it makes of it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from classical_scenes import SHAPE, Collage, Film, Scene, photograph, scenes_of
from PIL import Image

from intarsia.classical import CLASSICAL, Method, MethodDescription, create_method, describe_method
from intarsia.core import Array, Hints, LabelMap, Segmentation
from intarsia.core.whole_file import written_whole
from intarsia.viz.colorize import distinct_colors
from intarsia.viz.overlay import overlay
from intarsia.viz.rgb import as_rgb

FOLDER = Path(__file__).parent / "images" / "classical"
PAGE = Path(__file__).parent / "classical.md"
BEGIN, END = "<!-- made by docs/classical_pictures.py: begin -->", "<!-- end of docs/classical_pictures.py -->"
TILE = (288, round(288 / SHAPE))
GAP = 8
FEW = 8
RUST, WHITE, INK = (200, 70, 30), (255, 255, 255), (32, 33, 36)
HEADINGS = ("Regions", "Objects", "Foreground", "With hints", "Motion")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with bsds/, camvid/ and nuclei/")
    parser.add_argument("methods", nargs="*", help="by default all without a picture")
    given = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    untrained = [name for name in CLASSICAL.names if describe_method(name)["result"] != "learned"]
    for name in given.methods or [name for name in untrained if not (FOLDER / f"{name}.jpg").exists()]:
        with written_whole(FOLDER / f"{name}.jpg") as partial:
            picture(create_method(name), given.data).save(partial, "jpeg", quality=84, optimize=True)
    write_page()


def picture(method: Method, root: Path) -> Image.Image:
    """Three scenes side by side."""
    scenes = scenes_of(method.about)
    page = Image.new("RGB", (len(scenes) * (TILE[0] + GAP) - GAP, 2 * TILE[1] + GAP), WHITE)
    for column, scene in enumerate(scenes):
        image, hints, found = run_scene(method, scene, root) if isinstance(scene, Scene) else run_film(method, scene, root)
        for row, tile in enumerate((with_hints(as_rgb(image), hints), painted(as_rgb(image), found, method.about))):
            small = Image.fromarray(tile).resize(TILE, Image.Resampling.LANCZOS)
            page.paste(small, (column * (TILE[0] + GAP), row * (TILE[1] + GAP)))
    return page


def run_scene(method: Method, scene: Scene, root: Path) -> tuple[Array, Hints | None, Segmentation]:
    image = photograph(scene, root)
    hints = scene.hints([*method.about["hints"], *method.about["optional_hints"]], (image.shape[0], image.shape[1]))
    return image, hints, method.predict(image, hints)


def run_film(method: Method, film: Film | Collage, root: Path) -> tuple[Array, None, Segmentation]:
    frames, shown = film.frames(root)
    return frames[shown], None, method.segment_sequence(frames)[shown]


def with_hints(rgb: Array, hints: Hints | None) -> Array:
    """Boxes, strokes in the colours of their classes, and points."""
    drawn = np.ascontiguousarray(rgb).copy()
    if hints is None:
        return drawn
    if hints.boxes_xyxy is not None:
        for x0, y0, x1, y1 in hints.boxes_xyxy.tolist():
            cv2.rectangle(drawn, (x0, y0), (x1 - 1, y1 - 1), RUST, 3)
    if hints.scribbles is not None:
        said = hints.scribbles >= 0
        rim = cv2.dilate(said.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        drawn[rim] = WHITE
        drawn[said] = distinct_colors(hints.scribbles[said])
    for y, x in hints.points_yx.tolist() if hints.points_yx is not None else ():
        cv2.circle(drawn, (x, y), 6, WHITE, -1, cv2.LINE_AA)
        cv2.circle(drawn, (x, y), 4, RUST, -1, cv2.LINE_AA)
    return drawn


def painted(rgb: Array, found: Segmentation, about: MethodDescription) -> Array:
    """Regions in their mean colour, the rest of a foreground faded, few regions, classes and objects in colours of their own."""
    if not isinstance(found, LabelMap):
        return overlay(rgb, found)
    if found.classes is not None:
        return faded(rgb, found.ids == 1)
    if about["sequence"] or len(np.unique(found.ids)) <= FEW:
        return overlay(rgb, found, outline=False)
    return averaged(rgb, found.ids)


def faded(rgb: Array, foreground: Array) -> Array:
    grey = np.rint(190 + 0.22 * cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)).clip(0, 255)
    result = np.where(foreground[..., None], rgb, grey.astype(np.uint8))
    outlines, _ = cv2.findContours(foreground.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.ascontiguousarray(result), outlines, -1, RUST, 2)


def averaged(rgb: Array, ids: Array) -> Array:
    """Every region in its mean colour, borders darker."""
    _, inverse, counts = np.unique(ids, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    means = np.stack([np.bincount(inverse, rgb[..., c].reshape(-1)) / counts for c in range(3)], 1)
    flat = means[inverse].reshape(rgb.shape)
    border = np.zeros(ids.shape, np.bool_)
    border[1:] |= ids[1:] != ids[:-1]
    border[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    flat[border] *= 0.55
    return np.rint(flat).astype(np.uint8)


def heading(about: MethodDescription) -> str:
    if about["sequence"]:
        return "Motion"
    if about["hints"]:
        return "With hints"
    return {"regions": "Regions", "objects": "Objects"}.get(about["result"], "Foreground")


def write_page() -> None:
    """Put the pictures that there are between the marks of the page, by what they give."""
    drawn = [describe_method(name) for name in CLASSICAL.names if (FOLDER / f"{name}.jpg").exists()]
    parts = []
    for title in HEADINGS:
        entries = [
            f"**`{about['name']}`**\n\n![{about['summary'].rstrip('.')}](images/classical/{about['name']}.jpg)"
            for about in drawn
            if heading(about) == title
        ]
        if entries:
            parts += [f"### {title}", *entries]
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    with written_whole(PAGE) as partial:
        partial.write_text("\n\n".join([before + BEGIN, *parts, END + after]), encoding="utf-8")


if __name__ == "__main__":
    main()
