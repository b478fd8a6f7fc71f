"""Loss of deep metric learning: pairs of pixels are alike within an object and unlike across, and good seeds are known."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia.core import Output, SegmentationError, SettingsError

__all__ = ["pairs_and_seeds_loss"]

OBJECT_LOSS = True
MOST_SAMPLES = 2000
"""Of an image; with many objects fewer are drawn of each, but two at least."""
NEAREST = 1e-4
"""Squared distances of unlike pixels are at least so; below, the logarithm falls without end."""
OVERLAP = 0.5
"""The IoU above which a mask is that of an object."""


def pairs_and_seeds_loss(
    output: Output, targets: Mapping[str, Tensor], *, samples: int = 10, seeds: int = 10, seed_weight: float = 0.2
) -> dict[str, Tensor]:
    """Two terms, means over the images that have a known pixel.

    Of each object and of the background, which is one object more, `samples` pixels are drawn. With d[p, q] the squared distance
    of two embeddings and sigma = 2 / (1 + exp(d)) their similarity,

        pairs = -sum_pq w[p, q] ([y_p = y_q] log sigma + [y_p != y_q] log(1 - sigma))
        w[p, q] = 1 / (n_p n_q G^2)

    for G objects, of which n_p pixels are in the sample beside p: the weights sum to 1, and large objects weigh as small ones.

        seeds = seed_weight times the mean cross-entropy of the class of a seed at each bandwidth

    which is the class of the object that has an IoU above 1/2 with the mask grown from the seed by the embedding as it is now,
    and else the background. Half of the seeds are drawn from that sample, half from anywhere.

    Each in [0, inf); pairs are near 0 if objects are points far apart. Both are 0 without a known pixel. Computed in float32.

    Source: Fathi et al., "Semantic Instance Segmentation via Deep Metric Learning", 2017, equations 2 and 3 and section 3.2. The
    paper's weights sum to 1 and its sum is divided by the number of pixels once more; that would let the term vanish in images
    of many objects, so it is left out. Sizes of objects are counted in the sample: with as many pixels of each, weights by the
    sizes in the image would prefer small objects. In the paper `seed_weight` grows from 0 to 0.2.

    Args:
        output: logits (N, E, H, W), the embedding; parts "seed_scores" (N, B (T + 1), H, W), class 0 being the background, for
            the B thresholds on the similarity in "bandwidths" (B,).
        targets: "object_ids" (N, H, W), 0 = none, -1 = unknown; "thing_label" (N, H, W), 1 + thing index on objects.
        samples: of each object.
        seeds: of each image.
        seed_weight: 0 leaves the term out.

    Raises:
        SettingsError: nothing drawn, or a negative weight.
        SegmentationError: the truth has a class that the network was not made for.
    """
    if samples < 2 or seeds < 1 or seed_weight < 0:
        raise SettingsError(
            f"The loss pairs_and_seeds draws {samples} samples of each object and {seeds} seeds of weight {seed_weight}; it "
            "takes 2 samples or more, a seed or more, and a weight of 0 or more."
        )
    parts = output.parts or {}
    embedding, ids = _full(output.logits).flatten(2).mT, targets["object_ids"].flatten(1).long()  # (N, P, E), (N, P)
    bandwidths = parts["bandwidths"]
    scores = _full(parts["seed_scores"]).flatten(2).mT  # (N, P, B (T + 1))
    scores = scores.reshape(*scores.shape[:2], len(bandwidths), scores.shape[2] // len(bandwidths))
    label = targets["thing_label"].flatten(1).long().where(ids > 0, 0)
    _check_classes(label, scores.shape[-1] - 1)
    pairs, entropies = [], []
    for vectors, score, own, class_of_pixel in zip(embedding, scores, ids, label, strict=True):
        sample = sample_of_each(own, samples)
        if len(sample) == 0:
            continue
        pairs.append(pair_loss(vectors[sample], own[sample]))
        known = torch.where(own >= 0)[0]
        seed = torch.cat([_draw(sample, (seeds + 1) // 2), _draw(known, seeds // 2)])
        wanted = seed_class(vectors.detach(), seed, bandwidths, own, class_of_pixel)
        entropies.append(F.cross_entropy(score[seed].flatten(0, 1), wanted.flatten()))
    nothing = 0 * (embedding.sum() + scores.sum())
    terms = {"pairs": torch.stack(pairs).mean() if pairs else nothing}
    if seed_weight:
        terms["seeds"] = seed_weight * torch.stack(entropies).mean() if entropies else nothing
    return terms


def pair_loss(vectors: Tensor, ids: Tensor) -> Tensor:
    """The term `pairs` of a sample: embeddings (S, E), and the number of the object (S,) of each."""
    # Not by a matrix product, which would lose small distances.
    distance = torch.cdist(vectors, vectors, compute_mode="donot_use_mm_for_euclid_dist").square()
    log_alike = F.softplus(torch.zeros_like(distance)) - F.softplus(distance)  # log sigma
    apart = distance.clamp(min=NEAREST)
    log_unlike = (-(-apart).expm1()).log() - (-apart).exp().log1p()  # log(1 - sigma) = log tanh(d / 2)
    _, place, count = torch.unique(ids, return_inverse=True, return_counts=True)
    weight = 1 / (count[place].to(vectors.dtype) * len(count))  # sums to 1
    loss: Tensor = -(weight[:, None] * weight * torch.where(place[:, None] == place, log_alike, log_unlike)).sum()
    return loss


def sample_of_each(ids: Tensor, samples: int) -> Tensor:
    """Places of `samples` random pixels of each number in `ids` (P,) from 0 up; of smaller objects all."""
    order = torch.randperm(len(ids), device=ids.device)
    order = order[ids[order].argsort(stable=True)]
    own = ids[order]
    if len(own):
        samples = max(2, min(samples, MOST_SAMPLES // max(1, int(own[-1]) + 1)))
    rank = torch.arange(len(own), device=ids.device) - torch.searchsorted(own, own)
    return order[(rank < samples) & (own >= 0)]


def seed_class(vectors: Tensor, seed: Tensor, bandwidths: Tensor, ids: Tensor, label: Tensor) -> Tensor:
    """What the mask grown from each seed is a mask of.

    Args:
        vectors: (P, E) embeddings of all pixels.
        seed: (S,) places.
        bandwidths: (B,), least similarity of a pixel of the mask.
        ids: (P,) numbers of objects, 0 = none, -1 = unknown.
        label: (P,) classes, 1 + thing index on objects.

    Returns:
        (S, B) int64, 0 where it is no object's.
    """
    known = ids >= 0
    distance = torch.cdist(vectors, vectors[seed], compute_mode="donot_use_mm_for_euclid_dist").square()  # (P, S)
    widest = (2 / bandwidths.to(distance.dtype) - 1).log()
    inside = (distance[..., None] <= widest).logical_and(known[:, None, None]).flatten(1).to(distance.dtype)  # (P, S B)
    place = ids.clamp(min=0)
    count = int(place.max()) + 1
    common = inside.new_zeros(count, inside.shape[1]).index_add_(0, place, inside)
    area = torch.bincount(place[known], minlength=count).to(distance.dtype)
    overlap = common / (common.sum(0) + area[:, None] - common).clamp(min=1)
    overlap[0] = 0  # the background is no object
    best, which = overlap.max(0)
    class_of_object = torch.zeros(count, dtype=torch.int64, device=ids.device)
    class_of_object[place] = label
    return class_of_object[which].where(best > OVERLAP, 0).view(len(seed), -1)


def _draw(places: Tensor, count: int) -> Tensor:
    return places[torch.randint(len(places), (count,), device=places.device)]


def _check_classes(label: Tensor, things: int) -> None:
    if label.device.type == "cpu" and int(label.amax()) > things:  # elsewhere reading it would make every step wait
        raise SegmentationError(
            f"The truth has a class of things number {int(label.amax())}, and the network was made for {things} of them."
        )


def _full(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
