"""Depth forest: trees that ask about differences of depth around a pixel, and say which part of a body it shows.

Shotton et al., "Real-Time Human Pose Recognition in Parts from Single Depth Images", CVPR 2011.

Idea: a question compares the depths at two places, whose offsets shrink with the distance of the pixel, so that it means the same
near and far. Trees of up to twenty questions, each grown from other images with random candidates, end in shares of the
classes, which are averaged. Nothing is computed but subtractions, so a frame takes milliseconds.

Source: sections 3.1 to 3.3. Deviations:
    * Candidates are 200 features with 20 thresholds at each node, not 2000 with 50; thresholds are answers of random pixels of
      the node. Lengths of offsets are evenly spread, and half of the features compare with the pixel itself.
    * Trees draw their images with replacement (bagging), where the paper rendered other images for each.

Limits: depth only, in millimetres; the images of a training have one size. Left and right are told apart by shape alone. A pixel
without a depth belongs to the first class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import pairwise, starmap
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from intarsia.classical._learned import label_of
from intarsia.core import Array, ClassSpace, DataError, Hints, LabelMap, Sample, SettingsError, Task

if TYPE_CHECKING:
    from intarsia.classical._depth_training import Tree

__all__ = ["DepthForest"]

RESULT = "learned"

_ARRAYS = ("roots", "offsets", "thresholds", "children", "counts")


class DepthForest:
    """Trees of depth differences, fitted: depth image in, parts out.

    Args:
        arrays: roots (T,) int32; of M nodes offsets (M, 4) float32, thresholds (M,) int32 and children (M,) int32, see `Tree`;
            counts (L, K) int32 of the leaves.
        classes: K classes, the first for pixels without a depth.
        options: what it was fitted with.
        scores: measured while it was fitted.
        note: the same as a sentence.

    Raises:
        ValueError: arrays that do not fit together.
    """

    name = "depth_forest"
    task: Task = "semantic"

    def __init__(
        self,
        arrays: Mapping[str, Array],
        classes: ClassSpace,
        options: Mapping[str, Any],
        scores: Mapping[str, float] | None = None,
        note: str = "",
    ) -> None:
        self.roots, self.offsets, self.thresholds, self.children, self.counts = (arrays[name] for name in _ARRAYS)
        self.classes, self.options, self.scores, self.note = classes, options, scores or {}, note
        nodes, inner = len(self.children), np.flatnonzero(self.children > 0)
        if (
            self.offsets.shape != (nodes, 4)
            or self.thresholds.shape != (nodes,)
            or self.counts.shape != (len(self.counts), len(classes))
            or not 0 <= self.roots.min() <= self.roots.max() < nodes
            or (self.children[inner] <= inner).any()  # children stand behind, so every path ends
            or self.children.max() + 1 >= max(nodes, 2)
            or -self.children.min() >= len(self.counts)
        ):
            raise ValueError("the arrays of its trees contradict each other")

    @classmethod
    def fit(
        cls,
        samples: Iterable[Sample],
        classes: ClassSpace,
        *,
        trees: int = 3,
        depth: int = 20,
        pixels: int = 2000,
        candidates: int = 200,
        thresholds: int = 20,
        reach: float = 129.0,
        min_pixels: int = 10,
        bagging: bool = True,
        rng: int = 0,
    ) -> Self:
        """Grow a forest.

        Args:
            samples: depth images with a class for each pixel, all of one size.
            classes: the classes.
            trees: how many.
            depth: most questions from the root to a leaf.
            pixels: of each image, as evenly from its classes as they allow.
            candidates: features tried at each node.
            thresholds: tried with each.
            reach: longest offset in pixel metres: in pixels at 1 m, half as many at 2 m.
            min_pixels: a node with fewer asks nothing.
            bagging: draw the images of each tree with replacement, and score it on those it did not see.
            rng: seed.

        Raises:
            DataError: an image that is no depth image, sizes that differ, or no pixel to learn from.
            SettingsError: an option outside of its range.
        """
        from intarsia.classical._depth_training import Examples, grow_tree
        from intarsia.classical._threads import THREADS

        growth: dict[str, Any] = {
            "depth": depth,
            "candidates": candidates,
            "thresholds": thresholds,
            "reach": reach,
            "min_pixels": min_pixels,
        }
        options = {"trees": trees, "pixels": pixels, **growth, "bagging": bagging, "rng": rng}
        _check(options)
        images, label = _stacked(samples, classes)
        seeds = np.random.SeedSequence(rng).spawn(trees)
        grown, seen = [], []
        with ThreadPoolExecutor(THREADS) as pool:
            for seed in seeds:
                random = np.random.default_rng(seed)
                drawn = np.sort(random.integers(0, len(images), len(images))) if bagging else np.arange(len(images))
                examples = Examples(images, *_draw_pixels(label, drawn, pixels, random, classes.ignore_id))
                grown.append(grow_tree(examples, len(classes), **growth, rng=random, pool=pool, workers=THREADS))
                seen.append(np.unique(drawn))
        forest = cls(_joined(grown), classes, options)
        if bagging:
            forest._score_out_of_bag(images, label, seen)
        return forest

    def predict(self, image: Array, hints: Hints | None = None, *, prob: bool = False) -> LabelMap:
        """Segment a depth image.

        Args:
            image: (H, W) or (H, W, 1) uint16 millimetres, 0 where nothing was measured.
            hints: not used.
            prob: whether the result carries the class probabilities.

        Raises:
            DataError: another kind of image.
        """
        depth = _as_depth(image, "The image")
        places, found = self.posterior(depth)
        ids = np.zeros(depth.shape, self.classes.id_dtype)
        ids[places[:, 0], places[:, 1]] = found.argmax(1)
        if not prob:
            return LabelMap(ids, self.classes)
        full = np.zeros((len(self.classes), *depth.shape), np.float32)
        full[0] = depth == 0
        full[:, places[:, 0], places[:, 1]] = found.T
        return LabelMap(ids, self.classes, full)

    def posterior(self, depth_mm: Array) -> tuple[Array, Array]:
        """(N, 2) row and column of the pixels with a depth, and (N, K) float32 what they probably belong to."""
        from intarsia.classical._depth_feature import with_far

        places = np.argwhere(depth_mm > 0).astype(np.int32)
        return places, self._ask(with_far(depth_mm)[None], places + np.int32(1), self.roots)[0] / np.float32(len(self.roots))

    def path_length(self, depth_mm: Array) -> float:
        """Questions that a pixel with a depth answers in a tree, on average over pixels and trees."""
        from intarsia.classical._depth_feature import with_far

        places = np.argwhere(depth_mm > 0).astype(np.int32) + np.int32(1)
        return self._ask(with_far(depth_mm)[None], places, self.roots)[1] / max(len(places) * len(self.roots), 1)

    def cut(self, depth: int) -> Self:
        """The forest as if it had been grown to a smaller depth."""
        level = np.zeros(len(self.children), np.int32)
        inner = np.flatnonzero(self.children > 0)
        for node in inner:  # parents stand before their children
            level[self.children[node] : self.children[node] + 2] = level[node] + 1
        ends = np.flatnonzero(self.children <= 0)
        counts = np.zeros((len(level), len(self.classes)), np.int32)
        counts[ends] = self.counts[-self.children[ends]]
        for node in inner[::-1]:
            counts[node] = counts[self.children[node]] + counts[self.children[node] + 1]
        ends = np.flatnonzero((self.children <= 0) | (level >= depth))
        children = self.children.copy()
        children[ends] = -np.arange(len(ends), dtype=np.int32)
        arrays = {**self.to_arrays(), "children": children, "counts": counts[ends]}
        return type(self)(arrays, self.classes, {**self.options, "depth": depth})

    def to_arrays(self) -> dict[str, Array]:
        """The trees; with classes and options they are the forest."""
        return {name: getattr(self, name) for name in _ARRAYS}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, Array], classes: ClassSpace, options: Mapping[str, Any], scores: Mapping[str, float], note: str
    ) -> Self:
        """Inverse of `to_arrays`.

        Raises:
            KeyError: an array is missing.
            ValueError: they do not fit together.
        """
        return cls(arrays, classes, options, scores, note)

    @cached_property
    def _prob(self) -> Array:
        """(L, K) float32 shares of the classes in each leaf."""
        return np.asarray(self.counts / self.counts.sum(1, keepdims=True, dtype=np.float64), np.float32)

    def _ask(self, images: Array, places: Array, roots: Array) -> tuple[Array, int]:
        """Sums over trees of what pixels (N, 2) belong to, (N, K), and how many questions were asked, by all threads."""
        from intarsia.classical._depth_feature import classify
        from intarsia.classical._threads import THREADS

        found = np.zeros((len(places), len(self.classes)), np.float32)

        def walk(rows: slice) -> int:
            trees = (self.offsets, self.thresholds, self.children, self._prob)
            return int(classify(images, places[rows], roots, *trees, found[rows]))

        self._prob  # noqa: B018  before the threads ask for it
        edges = np.linspace(0, len(places), 4 * THREADS + 1).astype(int).tolist()
        with ThreadPoolExecutor(THREADS) as pool:
            asked = pool.map(walk, starmap(slice, pairwise(edges)))
            return found, sum(asked)

    def _score_out_of_bag(self, images: Array, label: Array, seen: list[Array]) -> None:
        """Each image is judged by the trees that did not see it."""
        right, count = np.zeros(len(self.classes)), np.zeros(len(self.classes))
        for i, ids in enumerate(label):
            roots = np.array([r for r, known in zip(self.roots, seen, strict=True) if i not in known], np.int32)
            places = np.argwhere(ids != self.classes.ignore_id).astype(np.int32)
            if len(roots) and len(places):
                truth = ids[places[:, 0], places[:, 1]]
                found = self._ask(images[i : i + 1], places + np.int32(1), roots)[0].argmax(1)
                count += np.bincount(truth, minlength=len(count))
                right += np.bincount(truth[found == truth], minlength=len(count))
        if count.any():
            accuracy = float((right[count > 0] / count[count > 0]).mean())
            self.scores = {"out_of_bag/mean_accuracy": accuracy}
            self.note = f"Out of bag, by trees that did not see the image, the mean accuracy over classes is {accuracy:.1%}."


def _check(options: Mapping[str, Any]) -> None:
    for name, least in (("trees", 1), ("depth", 0), ("pixels", 1), ("candidates", 1), ("thresholds", 1), ("min_pixels", 2)):
        if options[name] < least:
            raise SettingsError(f"depth_forest's option {name} is {options[name]}; a whole number from {least} up is expected.")
    if not options["reach"] > 0:
        raise SettingsError(f"depth_forest's option reach is {options['reach']}; pixel metres above 0 are expected, such as 129.")


def _as_depth(image: Array, where: str) -> Array:
    depth = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    if depth.ndim != 2 or depth.dtype != np.uint16:
        raise DataError(
            f"{where} is {image.dtype} of shape {image.shape}; depth_forest takes depth in millimetres, uint16 of shape "
            "(height, width) or (height, width, 1), with 0 where nothing was measured."
        )
    return depth


def _stacked(samples: Iterable[Sample], classes: ClassSpace) -> tuple[Array, Array]:
    """Depth (I, H + 2, W + 2) as `with_far` has it, and class ids (I, H, W) with the ignore id where there is no depth."""
    from intarsia.classical._depth_feature import with_far

    images: list[Array] = []
    labels: list[Array] = []
    for sample in samples:
        depth = _as_depth(sample.image, sample.key)
        if labels and depth.shape != labels[0].shape:
            raise DataError(
                f"{sample.key} is {depth.shape[0]} x {depth.shape[1]} pixels and the first image {labels[0].shape[0]} x "
                f"{labels[0].shape[1]}; offsets are in pixels, so depth_forest learns from images of one camera and size."
            )
        images.append(with_far(depth))
        labels.append(np.where(depth > 0, label_of(sample), classes.ignore_id).astype(classes.id_dtype))
    if not any((ids != classes.ignore_id).any() for ids in labels):
        raise DataError(f"None of the {len(labels)} training images has a pixel with a depth and a class: nothing can be learnt.")
    return np.stack(images), np.stack(labels)


def _draw_pixels(label: Array, drawn: Array, count: int, rng: np.random.Generator, ignore_id: int) -> tuple[Array, Array]:
    """Pixels (N, 3) int32 as image, y and x in `with_far`'s coordinates, `count` of each image drawn, and their classes (N,).

    Of each image the classes take turns until enough pixels are drawn, so those that are small give all they have.
    """
    places, ids = [], []
    for image in drawn:
        where = rng.permutation(np.flatnonzero(label[image] != ignore_id))
        of_class = label[image].ravel()[where]
        by_class = np.argsort(of_class, kind="stable")
        starts = np.searchsorted(of_class[by_class], of_class[by_class], side="left")
        turn = np.arange(len(where)) - starts
        chosen = np.sort(where[by_class[np.argsort(turn, kind="stable")[:count]]])
        y, x = np.divmod(chosen, label.shape[2])
        places.append(np.stack([np.full(len(chosen), image), y + 1, x + 1], 1).astype(np.int32))
        ids.append(label[image].ravel()[chosen])
    return np.concatenate(places), np.concatenate(ids)


def _joined(trees: list[Tree]) -> dict[str, Array]:
    """The trees one behind the other, numbered through."""
    nodes = np.cumsum([0, *(len(tree.children) for tree in trees)])
    leaves = np.cumsum([0, *(len(tree.counts) for tree in trees)])
    children = [
        np.where(tree.children > 0, tree.children + node, tree.children - leaf)
        for tree, node, leaf in zip(trees, nodes[:-1], leaves[:-1], strict=True)
    ]
    return {
        "roots": nodes[:-1].astype(np.int32),
        "offsets": np.concatenate([tree.offsets for tree in trees]),
        "thresholds": np.concatenate([tree.thresholds for tree in trees]),
        "children": np.concatenate(children).astype(np.int32),
        "counts": np.concatenate([tree.counts for tree in trees]),
    }
