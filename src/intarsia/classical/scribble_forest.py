"""Scribbles by forest: trees learn what was scribbled from its colour, edges and texture, and classify every other pixel.

Breiman, "Random Forests", Machine Learning 2001.

Idea: the features of the image are computed once; a forest on a few thousand scribbled pixels is grown in a moment and asked
about all pixels in another, so a person scribbles where it errs and sees at once what comes of it (`LiveForest`).

Source: the forest of `random_forest`, without the place of a pixel among its features, as a stroke says what something looks like
and not where it ends. Every class weighs alike, however long its strokes are. Scribbled pixels keep the class they were given.
Limits: pixels are judged one by one, so results are speckled and know no objects; two classes that look alike are not told apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from intarsia.classical._grow_trees import Bins, bootstrap_counts, grow_trees
from intarsia.classical._pixel_features import feature_strips, match_channels
from intarsia.classical._trees import Trees
from intarsia.core import Array, Hints, SettingsError, as_image

__all__ = ["LiveForest", "scribble_forest"]

RESULT = "hinted"
HINTS = ("scribbles", "points")
KEPT = 2**22  # pixels up to which the features of an image stay in memory (750 MB)
BINNED = 2**14  # pixels of the image whose features are looked at to cut their range into bins


def scribble_forest(
    image: Array, hints: Hints, *, trees: int = 24, depth: int = 12, pixels: int = 2000, scales: int = 4, rng: int = 0
) -> Array:
    """Give each pixel the class of the scribbles that it looks like.

    Args:
        image: (H, W, C), any range of its dtype.
        hints: points and scribbles with class ids.
        trees: how many.
        depth: questions in a row at most.
        pixels: learnt from in each class at most, drawn at random from its strokes.
        scales: of the features: windows of sigma 1, 2, 4 ... pixels, so many.
        rng: seed of all that is drawn.

    Returns:
        (H, W) int32 class ids, those of the hints.

    Raises:
        SettingsError: a number below 1, or hints without any point or scribbled pixel.
    """
    return LiveForest(image, trees=trees, depth=depth, pixels=pixels, scales=scales, rng=rng).fit(hints)


class LiveForest:
    """A forest that follows a person's scribbles: the features of the image are kept, and each call of `fit` grows it anew.

    Args:
        image, trees, depth, pixels, scales, rng: as in `scribble_forest`.

    Attributes:
        classes: (K,) ids of the classes that the last scribbles named, ascending; empty before.
        trees: the forest of the last scribbles; None before.
    """

    def __init__(
        self, image: Array, *, trees: int = 24, depth: int = 12, pixels: int = 2000, scales: int = 4, rng: int = 0
    ) -> None:
        for name, count in (("trees", trees), ("depth", depth), ("pixels", pixels), ("scales", scales)):
            if count < 1:
                raise SettingsError(f"{name} is {count}; a whole number from 1 up is expected.")
        self._image = match_channels(as_image(image))
        self._count, self._depth, self._pixels, self._scales, self._rng = trees, depth, pixels, scales, rng
        self._kept = list(self._read()) if self._image[..., 0].size <= KEPT else None
        self._bins: Bins | None = None
        self.classes = np.zeros(0, np.int32)
        self.trees: Trees | None = None

    @property
    def size_hw(self) -> tuple[int, int]:
        return self._image.shape[0], self._image.shape[1]

    def fit(self, hints: Hints) -> Array:
        """Learn from these hints, all that there are by now, and segment the image; scribbled pixels keep their class.

        Returns:
            (H, W) int32 class ids, those of the hints.

        Raises:
            SettingsError: no point and no scribbled pixel among them, or scribbles of another size than the image.
        """
        seeds = hints.seeds(self.size_hw)
        said = np.flatnonzero(seeds.ravel() >= 0)
        if not len(said):
            raise SettingsError("The hints hold no point and no scribbled pixel; a forest needs one of each class at least.")
        random = np.random.default_rng(self._rng)
        self.classes, label = np.unique(seeds.ravel()[said], return_inverse=True)
        counts = np.bincount(label)
        drawn = [
            random.choice(np.flatnonzero(label == k), min(int(count), self._pixels), replace=False)
            for k, count in enumerate(counts)
        ]
        chosen = np.sort(np.concatenate(drawn))
        label = label[chosen]
        worth = len(chosen) / np.bincount(label)[label]
        if self._bins is None:
            self._bins = Bins.of(self._features_of(np.unique(np.linspace(0, seeds.size - 1, BINNED).astype(np.int64))))
        points = self._features_of(said[chosen])
        self.trees = grow_trees(
            points,
            label,
            bootstrap_counts(np.arange(len(chosen)), self._count, random) * worth,
            classes=len(self.classes),
            bins=self._bins,
            candidates=math.isqrt(len(points)),
            depth=self._depth,
            min_leaf=1,
            rng=random,
        )
        ids = np.concatenate([self.classes[self.trees.predict(strip).argmax(1)] for _, strip in self._kept or self._read()])
        return np.where(seeds >= 0, seeds, ids.reshape(self.size_hw)).astype(np.int32)

    def prob(self) -> Array:
        """(K, H, W) float32 class shares of each pixel by the last scribbles, the classes in the order of `classes`.

        Raises:
            SettingsError: nothing was scribbled yet.
        """
        if self.trees is None:
            raise SettingsError("A forest has class shares after its first scribbles, and there were none yet.")
        shares = [self.trees.predict(strip) for _, strip in self._kept or self._read()]
        return np.ascontiguousarray(np.concatenate(shares).T).reshape(-1, *self.size_hw)

    def _read(self) -> Iterator[tuple[slice, Array]]:
        return feature_strips(self._image, scales=self._scales, position=False)

    def _features_of(self, places: Array) -> Array:
        """(F, N) features of N pixels, ascending positions in the flat image."""
        parts, width = [], self.size_hw[1]
        for rows, strip in self._kept or self._read():
            first, last = np.searchsorted(places, (rows.start * width, rows.stop * width))
            parts.append(strip[:, places[first:last] - rows.start * width])
        return np.concatenate(parts, 1)
