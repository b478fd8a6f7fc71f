"""Draws the picture of docs/kinect.md: depth, true and inferred parts, joints.

    python docs/kinect_pictures.py

takes the forest of benchmarks/kinect.py from runs/kinect/ and its settings for joints from the results, so run that first.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from intarsia.classical.depth_forest import DepthForest
from intarsia.core import Array
from intarsia.core.whole_file import written_whole
from intarsia.data.datasets.bodies import BODY_CLASSES, Bodies, Body
from intarsia.inference import read_method
from intarsia.postprocess.joints import JointFinder, back_project

HERE = Path(__file__).resolve().parent
IMAGES = HERE / "images"
RESULTS = HERE.parent / "benchmarks" / "results" / "kinect.json"
FOREST = HERE.parent / "runs" / "kinect" / "500-129.safetensors"
TILE, GAP, SCALE = (216, 264), 8, 3  # width and height; the image is enlarged so many times before it is fitted into that
CHAINS = ("head neck", *(f"neck {s}_shoulder {s}_elbow {s}_wrist {s}_hand" for s in ("left", "right")))
LEGS = tuple(f"{s}_knee {s}_ankle {s}_foot" for s in ("left", "right"))
LEFT, RIGHT, INK = (179, 71, 29), (31, 111, 120), (32, 33, 36)


def main() -> None:
    data = Bodies(train=0, val=0, test=40)
    forest = read_method(FOREST).fitted
    results = json.loads(RESULTS.read_text(encoding="utf-8"))["joints/inferred parts"]
    settings = (results["bandwidth_m"], results["threshold"], results["push_back_m"])
    finder = JointFinder(data.parts_of_joint, *settings)
    bodies = [data.body(f"test/{number:04d}") for number in (2, 5, 11, 13, 29)]
    found = [forest.predict(body.depth_mm).ids for body in bodies]
    rows = [
        [relief(body) for body in bodies],
        [painted(body.depth_mm, body.parts) for body in bodies],
        [painted(body.depth_mm, ids) for body, ids in zip(bodies, found, strict=True)],
        [with_joints(body, finder, data, forest) for body in bodies],
    ]
    save(
        sheet([[cropped(tile, body) for tile, body in zip(row, bodies, strict=True)] for row in rows]),
        IMAGES / "kinect/parts.jpg",
    )


def relief(body: Body) -> Array:
    """Grey by depth, near is bright, enlarged; white where nothing is."""
    depth = body.depth_mm.astype(np.float32)
    near, far = np.percentile(depth[depth > 0], [1, 99])
    grey = np.where(depth > 0, np.clip(225 - 165 * (depth - near) / (far - near), 50, 235), 255)
    return enlarged(np.repeat(grey[..., None], 3, 2).astype(np.uint8))


def painted(depth_mm: Array, ids: Array) -> Array:
    """Parts in their colours, shaded a little by depth."""
    depth = depth_mm.astype(np.float32)
    near, far = np.percentile(depth[depth > 0], [1, 99])
    light = np.clip(1.05 - 0.3 * (depth - near) / (far - near), 0.7, 1.05)[..., None]
    shaded = np.clip(BODY_CLASSES.colors[ids] * light, 0, 255)
    return enlarged(np.where(depth[..., None] > 0, shaded, 255).astype(np.uint8))


def with_joints(body: Body, finder: JointFinder, data: Bodies, forest: DepthForest) -> Array:
    """The best proposal of each joint as a dot, joined to a skeleton; a small cross is where the joint is."""
    drawn = np.clip(255 - (255 - relief(body).astype(np.int32)) // 3, 0, 255).astype(np.uint8)
    places, prob = forest.posterior(body.depth_mm)
    found = finder.find(back_project(body.depth_mm, places, data.focal_px), prob)
    at = {name: pixel(one.places_m[0], data) for name, one in zip(data.joints, found, strict=True) if len(one.scores)}
    for chain in (*CHAINS, *LEGS):
        names = [name for name in chain.split() if name in at]
        for one, other in pairwise(names):
            cv2.line(drawn, at[one], at[other], (120, 122, 126), 3, cv2.LINE_AA)
    for name, place in at.items():
        color = LEFT if name.startswith("left") else RIGHT if name.startswith("right") else INK
        cv2.circle(drawn, place, 8, (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(drawn, place, 6, color, -1, cv2.LINE_AA)
    for true in body.joints_m:
        x, y = pixel(true, data)
        cv2.line(drawn, (x - 5, y), (x + 5, y), INK, 1, cv2.LINE_AA)
        cv2.line(drawn, (x, y - 5), (x, y + 5), INK, 1, cv2.LINE_AA)
    return drawn


def pixel(point_m: Array, data: Bodies) -> tuple[int, int]:
    """Where an enlarged image shows a point."""
    x, y = point_m[:2] / point_m[2] * data.focal_px + (np.array(data.size_hw[::-1]) - 1) / 2
    return round(SCALE * (x + 0.5)), round(SCALE * (y + 0.5))


def enlarged(image: Array) -> Array:
    return cv2.resize(image, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_NEAREST)


def cropped(image: Array, body: Body) -> Image.Image:
    """The surroundings of the body, in the shape of a tile."""
    rows, columns = np.flatnonzero(body.depth_mm.any(1)), np.flatnonzero(body.depth_mm.any(0))
    middle = SCALE * np.array([columns[0] + columns[-1] + 1, rows[0] + rows[-1] + 1]) / 2
    half = SCALE * max((rows[-1] - rows[0]) / 2 + 8, (columns[-1] - columns[0]) / 2 * TILE[1] / TILE[0] + 8)
    width = half * TILE[0] / TILE[1]
    box = (middle[0] - width, middle[1] - half, middle[0] + width, middle[1] + half)
    padded = cv2.copyMakeBorder(image, 600, 600, 600, 600, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    area = tuple(value + 600 for value in box)
    return Image.fromarray(padded).resize(TILE, Image.Resampling.LANCZOS, box=area)


def sheet(tiles: list[list[Image.Image]]) -> Image.Image:
    width, height = tiles[0][0].size
    page = Image.new("RGB", (len(tiles[0]) * (width + GAP) - GAP, len(tiles) * (height + GAP) - GAP), (255, 255, 255))
    for row, line in enumerate(tiles):
        for column, tile in enumerate(line):
            page.paste(tile, (column * (width + GAP), row * (height + GAP)))
    return page


def save(page: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        page.save(partial, "jpeg", quality=86, optimize=True)


if __name__ == "__main__":
    main()
