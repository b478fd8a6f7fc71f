"""Objects grown from seeds: the pixels whose embedding is similar to that of a good pixel, one object after the other.

Fathi et al., "Semantic Instance Segmentation via Deep Metric Learning", arXiv 2017, section 3.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from scipy import ndimage
from scipy.special import softmax

from intarsia.core import Array, BoolArray, InstanceMasks, SettingsError

__all__ = ["decode_grown_masks", "seediness", "similarity_to"]


def decode_grown_masks(
    logits: Array,
    parts: Mapping[str, Array],
    size_hw: tuple[int, int],
    *,
    scale_yx: tuple[float, float] = (1.0, 1.0),
    alpha: float = 0.3,
    min_score: float = 0.05,
    most_alike: float = 0.25,
    connected: bool = False,
    min_size: int = 1,
    max_objects: int = 100,
) -> tuple[InstanceMasks, Array, Array]:
    """Pick seeds of high score that are unlike those before, and grow each to its mask.

    With S the largest probability of any class at any bandwidth, and D = 1 - the largest similarity to a seed picked before, the
    next seed is where log S + alpha log D is largest. Its mask are the pixels at least as similar to it as its bandwidth says,
    its class is the one that is most probable, and its score is S. Masks may overlap.

    The paper lets it go on for 100 seeds, which in images of few objects come back to the same ones with a high score each;
    `most_alike` stops before.

    Args:
        logits: (E, H, W), the embedding.
        parts: "seed_scores" (B (T + 1), H, W), class 0 being the background, for each of "bandwidths" (B,).
        size_hw: H and W.
        scale_yx: pixels of the image for one of the network; not used.
        alpha: how much unlike seeds are preferred; 0.3 in the paper, 0 looks at S alone.
        min_score: seeds of a lower S are none.
        most_alike: pixels more similar to a seed picked before are no seeds; 1 leaves that to alpha, as in the paper.
        connected: only what hangs together with the seed (8 neighbours) is kept; the paper keeps all.
        min_size: objects of fewer pixels are dropped.
        max_objects: at most so many seeds.

    Returns:
        Q masks in the order they were picked, (Q,) int64 class index, (Q,) float32 score.

    Raises:
        SettingsError: a negative setting.
    """
    if min(alpha, min_score, most_alike, min_size, max_objects) < 0:
        raise SettingsError(
            f"alpha is {alpha}, min_score {min_score}, most_alike {most_alike}, min_size {min_size} and max_objects "
            f"{max_objects}; none of them can be negative."
        )
    score, bandwidth, class_index = seediness(parts["seed_scores"], parts["bandwidths"])
    vectors = np.ascontiguousarray(logits.reshape(len(logits), -1).astype(np.float32, copy=False))
    good = score.ravel() >= max(min_score, np.finfo(np.float32).tiny)
    log_score = np.log(score, out=np.full_like(score, -np.inf), where=good.reshape(size_hw)).ravel()
    unlike = np.ones_like(log_score)  # D
    picked: list[int] = []

    def crops() -> Iterator[tuple[tuple[int, int], BoolArray]]:
        for _ in range(max_objects if good.size else 0):
            free = (unlike > 0) & (unlike >= 1 - most_alike)
            term = log_score + alpha * np.log(unlike, out=np.zeros_like(unlike), where=free)
            term[~free] = -np.inf
            seed = int(term.argmax())
            if term[seed] == -np.inf:
                return
            similarity = similarity_to(vectors, seed)
            np.minimum(unlike, 1 - similarity, out=unlike)
            mask = (similarity >= bandwidth.flat[seed]).reshape(size_hw)
            if connected:
                number, _ = ndimage.label(mask, np.ones((3, 3)))
                mask = number == number.flat[seed]
            if mask.sum() >= min_size:
                picked.append(seed)
                yield (0, 0), mask

    masks = InstanceMasks.pack_crops(crops(), size_hw)
    return masks, class_index.ravel()[picked].astype(np.int64), score.ravel()[picked].astype(np.float32)


def seediness(scores: Array, bandwidths: Array) -> tuple[Array, Array, Array]:
    """How good a seed each pixel is, at which bandwidth and of which class of things.

    Args:
        scores: (B (T + 1), H, W) before the softmax over the classes.
        bandwidths: (B,).

    Returns:
        Three of (H, W): float32 probability, bandwidth, class index.
    """
    size_hw = scores.shape[1:]
    by_width = softmax(
        scores.reshape(len(bandwidths), len(scores) // len(bandwidths), *size_hw).astype(np.float32, copy=False), axis=1
    )[:, 1:]
    things = by_width.shape[1]
    flat = by_width.reshape(len(bandwidths) * things, *size_hw)
    best = flat.argmax(0)
    return flat.max(0), bandwidths[best // things], best % things


def similarity_to(vectors: Array, seed: int) -> Array:
    """(P,) similarity 2 / (1 + exp(d)) of all embeddings (E, P) to the one at `seed`, d being the squared distance."""
    distance = np.zeros(vectors.shape[1], np.float32)
    for row in vectors:  # a length at a time, so that nothing of the size of the embedding is made
        distance += np.square(row - row[seed])
    similarity: Array = 2 / (1 + np.exp(np.minimum(distance, 80)))
    return similarity
