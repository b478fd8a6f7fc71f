"""Random forest: many trees that ask about the colour, edges and texture around a pixel, and classify it together.

Breiman, "Random Forests", Machine Learning 2001.

Idea: a tree asks one question of a pixel after the other (is the red within 4 pixels above this?) until it knows the class. Each
tree learns from a bootstrap, examples drawn with replacement, and each of its nodes may ask about a few features only, drawn at
random; so the trees err differently, and the mean of their answers errs less than any of them. What a tree was not shown it can
be tested on: the out-of-bag score, without holding examples back.

Source: sections 1 to 3 and the construction of Forest-RI in 4; answers are averaged as class shares instead of counted as votes.
Features: `_pixel_features`. Trees: `_grow_trees`.
Deviation: images are drawn, not pixels, where there are several. Pixels of one image are alike, so that a tree would be tested on
near copies of what it learnt from, and the out-of-bag score would flatter (docs/forests.md measures by how much).
Limits: it knows what a pixel looks like and where it is, not what belongs together; its maps are speckled (`--refine crf` helps).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, Self

import numpy as np

from intarsia.classical._grow_trees import bootstrap_counts, grow_trees
from intarsia.classical._learned import label_of
from intarsia.classical._pixel_features import feature_planes, feature_strips, match_channels
from intarsia.classical._trees import Trees
from intarsia.core import Array, BoolArray, ClassSpace, DataError, Hints, LabelMap, Sample, SettingsError, Task, as_image

__all__ = ["RandomForest"]

RESULT = "learned"


class RandomForest:
    """A forest for the pixels of images, as `fit` makes it.

    Args:
        trees: what was learnt.
        classes: what their answers mean.
        options: `scales`, `position` and `channels`, by which the features are computed; others are kept for people.
        scores: measured out of bag.
        note: a sentence about them.
    """

    def __init__(
        self, trees: Trees, classes: ClassSpace, options: Mapping[str, Any], scores: Mapping[str, float], note: str
    ) -> None:
        self.trees, self.classes, self.options, self.scores, self.note = trees, classes, dict(options), dict(scores), note

    name = "random_forest"
    task: Task = "semantic"

    @classmethod
    def fit(
        cls,
        samples: Iterable[Sample],
        classes: ClassSpace,
        *,
        trees: int = 32,
        depth: int = 20,
        min_leaf: int = 4,
        candidates: int = 0,
        pixels: int = 400,
        balance: float = 0.5,
        scales: int = 5,
        position: bool = True,
        bagging: Literal["images", "pixels"] = "images",
        rng: int = 0,
    ) -> Self:
        """Learn from images and their truths, each of which is read once.

        Args:
            samples: with a class for each pixel, or for some of them and the ignore id elsewhere, as scribbles are.
            classes: of the truths.
            trees: how many.
            depth: questions in a row at most.
            min_leaf: pixels in a leaf at least; more make smoother answers.
            candidates: features that a node may ask about; 0 takes the square root of their number.
            pixels: learnt from in each image, drawn at random.
            balance: how far the drawing evens out the classes of an image, from 0, each by its area, to 1, all alike.
            scales: of the features: windows of sigma 1, 2, 4 ... pixels, so many.
            position: whether features say where in the image a pixel is.
            bagging: what a tree's bootstrap is drawn from; a single image is always divided by pixels.
            rng: seed of all that is drawn.

        Raises:
            DataError: no pixel with a class, or images of different kinds.
            SettingsError: a number that cannot be.
        """
        _check(trees=trees, depth=depth, min_leaf=min_leaf, pixels=pixels, scales=scales)
        if not 0 <= balance <= 1 or candidates < 0:
            raise SettingsError(f"balance is {balance} and candidates {candidates}; from 0 to 1, and 0 or more are expected.")
        random = np.random.default_rng(rng)
        learnt = draw_pixels(samples, len(classes), pixels, balance, scales, position, random)
        single = bagging == "pixels" or learnt.image[0] == learnt.image[-1]
        drawn = bootstrap_counts(np.arange(len(learnt.image)) if single else learnt.image, trees, random)
        forest = grow_trees(
            learnt.points,
            learnt.label,
            drawn,
            classes=len(classes),
            candidates=candidates or math.isqrt(len(learnt.points)),
            depth=depth,
            min_leaf=min_leaf,
            rng=random,
        )
        scores = out_of_bag_scores(forest, learnt, drawn > 0)
        options = {
            "trees": trees,
            "depth": depth,
            "min_leaf": min_leaf,
            "candidates": candidates,
            "pixels": pixels,
            "balance": balance,
            "scales": scales,
            "position": position,
            "bagging": bagging,
            "rng": rng,
            "channels": learnt.channels,
        }
        return cls(forest, classes, options, scores, _in_words(scores, single))

    def predict(self, image: Array, hints: Hints | None = None, *, prob: bool = False) -> LabelMap:
        """Segment an image (H, W) or (H, W, C); with `prob`, the result carries the mean class shares of the trees.

        Raises:
            DataError: an image of other channels than it learnt from, or with values that are not finite.
        """
        image = match_channels(as_image(image), self.options["channels"])
        size = image.shape[0], image.shape[1]
        ids = np.empty(size, self.classes.id_dtype)
        shares = np.empty((len(self.classes), *size), np.float32) if prob else None
        for rows, points in feature_strips(image, scales=self.options["scales"], position=self.options["position"]):
            found = self.trees.predict(points)
            ids[rows] = found.argmax(1).reshape(-1, size[1])
            if shares is not None:
                shares[:, rows] = found.T.reshape(len(self.classes), -1, size[1])
        return LabelMap(ids, self.classes, shares)

    def to_arrays(self) -> dict[str, Array]:
        return self.trees.to_arrays()

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, Array], classes: ClassSpace, options: Mapping[str, Any], scores: Mapping[str, float], note: str
    ) -> Self:
        """Inverse of `to_arrays`.

        Raises:
            KeyError: an array or an option is missing.
            ValueError: they do not fit together.
        """
        trees, channels, scales = Trees.from_arrays(arrays), int(options["channels"]), int(options["scales"])
        features = channels + scales * (channels + 6) + 2 * bool(options["position"])
        if trees.classes != len(classes) or trees.feature.max(initial=0) >= features:
            raise ValueError(f"trees for {trees.classes} classes stand beside {len(classes)} names, or ask for unknown features")
        return cls(trees, classes, options, scores, note)


class Learnt(NamedTuple):
    """Pixels to learn from.

    points: (F, N) float32 features.
    label: (N,) class ids.
    image: (N,) number of the image that a pixel is of, ascending.
    worth: (N,) float64, how many pixels of its class in its image each stands for.
    channels: of the images.
    """

    points: Array
    label: Array
    image: Array
    worth: Array
    channels: int


def draw_pixels(
    samples: Iterable[Sample],
    classes: int,
    pixels: int,
    balance: float,
    scales: int,
    position: bool,
    rng: np.random.Generator,
) -> Learnt:
    """Read each sample once and draw pixels of it; arguments as of `RandomForest.fit`."""
    points, labels, images, worths = list[Array](), list[Array](), list[Array](), list[Array]()
    channels: int | None = None
    for sample in samples:
        label = label_of(sample).ravel()
        counts = np.bincount(label[label < classes], minlength=classes)
        if not counts.any():
            continue
        if channels is None:  # grey is taken as colour, which later images may have
            channels = 3 if sample.image.shape[2] == 1 else sample.image.shape[2]
        try:
            image = match_channels(sample.image, channels)
        except DataError as error:
            raise DataError(f"{sample.key}: {error}") from error
        wanted = _shares(counts, pixels, balance)
        chosen = np.sort(
            np.concatenate([rng.choice(np.flatnonzero(label == k), wanted[k], replace=False) for k in range(classes)])
        )
        planes = feature_planes(image, scales=scales, position=position)
        points.append(np.stack([plane.ravel()[chosen] for plane in planes]))
        labels.append(label[chosen])
        images.append(np.full(len(chosen), len(images)))
        worths.append((counts / np.maximum(wanted, 1))[label[chosen]])
    if channels is None:
        raise DataError("There is no pixel with a class to learn from: every truth is ignored everywhere, or there is none.")
    return Learnt(np.concatenate(points, 1), np.concatenate(labels), np.concatenate(images), np.concatenate(worths), channels)


def _shares(counts: Array, pixels: int, balance: float) -> Array:
    """(K,) how many pixels of each class to draw: like counts^(1 - balance), at most what there is, one of each at least."""
    wish = np.where(counts > 0, np.maximum(counts, 1) ** (1 - balance), 0)
    return np.asarray(np.minimum(np.ceil(wish / wish.sum() * pixels), counts), np.int64)


def out_of_bag_scores(trees: Trees, learnt: Learnt, in_bag: BoolArray) -> dict[str, float]:
    """Pixel accuracy and mIoU where each pixel is judged by the trees that did not see it, and counts for those it stands for.

    Empty where every pixel was seen by every tree.
    """
    judged = ~in_bag.all(0)
    if not judged.any():
        return {}
    points = learnt.points[:, judged]
    found = trees.predict(points, skip=in_bag[:, judged]).argmax(1)
    label, worth = learnt.label[judged].astype(np.int64), learnt.worth[judged]
    count = trees.classes
    confusion = np.bincount(label * count + found, worth, count * count).reshape(count, count)
    either = confusion.sum(0) + confusion.sum(1) - confusion.diagonal()
    iou = confusion.diagonal()[either > 0] / either[either > 0]
    return {
        "out_of_bag/accuracy": float(confusion.trace() / confusion.sum()),
        "out_of_bag/miou": float(iou.mean()),
        "out_of_bag/pixels": int(judged.sum()),
    }


def _in_words(scores: Mapping[str, float], single: bool) -> str:
    if not scores:
        return ""
    drawn = "pixels; others of the same image were, so this flatters" if single else "images"
    return (
        f"Out of bag, the forest reaches pixel accuracy {scores['out_of_bag/accuracy']:.3f} and mIoU "
        f"{scores['out_of_bag/miou']:.3f} on {scores['out_of_bag/pixels']} pixels of the training images, each judged by the "
        f"trees that were not shown it (bags of {drawn})."
    )


def _check(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise SettingsError(f"{name} is {count}; a whole number from 1 up is expected.")
