"""Draws docs/images/metric_learning.png: how similar pixels are to a seed, in the eyes of a trained network.

    python docs/similarity_picture.py MODEL ../shared/data/nuclei

MODEL is a `metric_learning` that was trained on the nuclei; benchmarks/nuclei.py leaves one in runs/nuclei. Shown is the piece of
a validation image, as the network sees it, where four large neighbours are told apart best.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from intarsia.core import Array
from intarsia.core.whole_file import written_whole
from intarsia.data.datasets import open_dataset
from intarsia.data.preprocessing import resize_image, resize_label
from intarsia.inference import load
from intarsia.inference.objects import arrays_of_image
from intarsia.postprocess.grown_masks import seediness, similarity_to
from intarsia.viz.colorize import distinct_colors
from intarsia.viz.rgb import as_rgb

PICTURE = Path(__file__).parent / "images" / "metric_learning.png"
PIECE, ZOOM, GAP, SEEDS = 64, 4, 8, 4
WHITE, ORANGE = (255, 255, 255), (255, 170, 40)


def main(model: str, root: str) -> None:
    data, network = open_dataset(root, view="instance"), load(model)
    best, shown = -1.0, None
    for key in data.splits["val"]:
        sample = data.read(key)
        seen = network.preprocessing.normalize(network.preprocessing.fit(sample.image))
        with torch.no_grad():
            logits, parts = arrays_of_image(network.model(torch.from_numpy(seen)[None].to(network.device)), 0)
        ids = resize_label(sample.truths[0].to_ids(), logits.shape[1:])
        similarities, masks, overlaps = grown(logits, parts, ids)
        for top, left in np.ndindex(*(max(1, (side - PIECE) // 8 + 1) for side in ids.shape)):
            window = slice(8 * top, 8 * top + PIECE), slice(8 * left, 8 * left + PIECE)
            whole = [
                n
                for n, box in boxes_of(ids)
                if all(w.start <= b.start and b.stop <= w.stop for w, b in zip(window, box, strict=True))
            ]
            largest = sorted(whole, key=lambda n: -int((ids == n).sum()))[:SEEDS] if len(whole) >= SEEDS else []
            value = sum(overlaps.get(n, 0.0) for n in largest)
            if value > best:
                best, shown = value, (sample.image, ids, window, largest, similarities, masks)
    image, ids, window, numbers, similarities, masks = shown
    picture = brightened(as_rgb(resize_image(image, ids.shape))[window])
    own = ids[window]
    tiles = [outlined(enlarged(picture), enlarged(np.where(np.isin(own, numbers), own, 0)), ORANGE)]
    for number in numbers:
        heat = cv2.applyColorMap((255 * similarities[number][window]).astype(np.uint8), cv2.COLORMAP_INFERNO)
        tiles.append(outlined(enlarged(cv2.cvtColor(heat, cv2.COLOR_BGR2RGB)), enlarged(np.where(own == number, 1, 0)), WHITE))
    drawn = picture.copy()
    for number, color in zip(numbers, distinct_colors(np.arange(1, len(numbers) + 1)), strict=True):
        mask = masks[number][window]
        drawn[mask] = (0.4 * drawn[mask] + 0.6 * color).astype(np.uint8)
    tiles.append(outlined(enlarged(drawn), enlarged(np.where(np.isin(own, numbers), own, 0)), WHITE))
    height, width = tiles[0].shape[:2]
    page = Image.new("RGB", (len(tiles) * (width + GAP) - GAP, height), WHITE)
    for column, tile in enumerate(tiles):
        page.paste(Image.fromarray(tile), (column * (width + GAP), 0))
    with written_whole(PICTURE) as partial:
        page.save(partial, "png", optimize=True)


def grown(logits: Array, parts: dict[str, Array], ids: Array) -> tuple[dict[int, Array], dict[int, Array], dict[int, float]]:
    """From the middle of each object of 40 pixels and more: similarity, mask at its bandwidth, and that mask's IoU."""
    vectors, (_, bandwidth, _) = logits.reshape(len(logits), -1), seediness(parts["seed_scores"], parts["bandwidths"])
    similarities, masks, overlaps = {}, {}, {}
    for number, _ in boxes_of(ids):
        own = ids == number
        seed = int((ndimage.distance_transform_edt(own)).argmax())
        similarities[number] = similarity_to(vectors, seed).reshape(ids.shape)
        masks[number] = similarities[number] >= bandwidth.flat[seed]
        overlaps[number] = float((masks[number] & own).sum() / (masks[number] | own).sum())
    return similarities, masks, overlaps


def boxes_of(ids: Array) -> list[tuple[int, tuple[slice, ...]]]:
    boxes = enumerate(ndimage.find_objects(ids), 1)
    return [(number, box) for number, box in boxes if box is not None and (ids[box] == number).sum() >= 40]


def enlarged(tile: Array) -> Array:
    return np.ascontiguousarray(tile.repeat(ZOOM, 0).repeat(ZOOM, 1))


def brightened(rgb: Array) -> Array:
    low, high = np.percentile(rgb, (1, 99.5))
    stretched: Array = ((rgb.astype(np.float32) - low) * (255 / max(high - low, 1))).clip(0, 255).astype(np.uint8)
    return stretched


def outlined(rgb: Array, ids: Array, color: tuple[int, int, int]) -> Array:
    rgb[ndimage.grey_dilation(ids, (3, 3)) != ids] = color
    return rgb


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
