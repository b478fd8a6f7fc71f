"""A conditional random field over regions, learnt from predictions and truths.

Potentials are counted: how much more often than expected are two classes in one image (Rabinovich et al., "Objects in context",
ICCV 2007), and one above or inside the other (Galleguillos, Rabinovich, Belongie, CVPR 2008)? Weights then are those of the
largest pseudo-likelihood of the truths. It hears true neighbours where inference hears guessed ones, and so trusts them too much:
what is heard is weakened by the factor that suits the examples best.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from intarsia.classical._pseudo_likelihood import learn_weights
from intarsia.core import Array, LabelMap, SegmentationError, SettingsError
from intarsia.postprocess._region_field import FEATURES, Field, energy, local_costs
from intarsia.postprocess.region_crf import RegionCRF, field_of, unary_of

__all__ = ["fit_region_crf", "potentials_from_counts"]

STRONGEST = 3.0  # of a potential, in nats: what is never seen is twenty times less likely, not impossible
MAJORITY = 0.5  # of a region's pixels that must have a truth


def fit_region_crf(
    cases: Iterable[tuple[LabelMap, Array, LabelMap]],
    *,
    segments: int = 300,
    confidence: float = 0.7,
    balance: float = 0.5,
    strengths: Sequence[float] = (1.0, 0.5, 0.25, 0.125, 0.03, 0.0),
    details: Sequence[float] = (1.0, 0.5, 0.0),
    nodes: int = 2000,
    rng: int = 0,
) -> RegionCRF:
    """Learn potentials and weights from predictions of images that the predictor was not trained on, else it is trusted too much.

    Args:
        cases: prediction, image (H, W, C) and truth, of the same classes; regions that mostly have no truth do not count.
        segments: about how many superpixels an image is cut into; 0 for pixels.
        confidence: how probable a hard label is, for predictions without probabilities.
        balance: how much more a region of a rare class counts: its share to the power of -balance.
        strengths: factors of all weights but that of the prediction; the one with the highest mIoU on the cases is kept.
            0 leaves predictions as they are.
        details: values of `RegionCRF.detail`, of which one is kept in the same way.
        nodes: at most so many regions or pixels of each image are judged, drawn at random; their neighbours all count.
        rng: seed of the nodes.

    Raises:
        SettingsError: no case, or none with a truth; no strength or detail.
        SegmentationError: predictions and truths that differ in size or classes.
    """
    cases = list(cases)
    classes = _common_classes(cases)
    fields, truths = [], []
    for prediction, image, truth in cases:
        fields.append(field_of(unary_of(prediction, confidence), image, segments))
        truths.append(_truth_of_nodes(fields[-1].nodes, truth))
    known = sum(int((labels >= 0).sum()) for labels in truths)
    if not (strengths and details and known):
        raise SettingsError(
            f"There are {len(cases)} examples with {known} regions that have a truth, {len(strengths)} strengths and "
            f"{len(details)} details; one of each is needed to learn."
        )
    draw = np.random.default_rng(rng)
    potentials = potentials_from_counts(np.sum([_count(*pair, len(classes)) for pair in zip(fields, truths, strict=True)], 0))
    judged = [draw.permutation(np.flatnonzero(labels >= 0))[:nodes] for labels in truths]
    costs = [local_costs(field, found, potentials, rows) for field, found, rows in zip(fields, truths, judged, strict=True)]
    labels = np.concatenate([found[rows] for found, rows in zip(truths, judged, strict=True)])
    worth = np.maximum(np.bincount(labels), 1.0)[labels] ** -balance
    weights = learn_weights(np.concatenate(costs), labels, worth * (len(labels) / worth.sum()))
    learnt: dict[str, Any] = dict(zip(("together", "above", "inside"), potentials.tolist(), strict=True))
    learnt |= {f"{name}_weight": round(float(weight), 4) for name, weight in zip(FEATURES, weights, strict=True)}
    fitted = RegionCRF(classes, **learnt, segments=segments, confidence=confidence)
    tried = [[replace(_weakened(fitted, strength), detail=detail) for detail in details] for strength in strengths]
    if len(strengths) * len(details) == 1:
        return tried[0][0]
    mious = np.array([_mious(equal_but_detail, fields, cases) for equal_but_detail in tried])
    best = np.unravel_index(mious.argmax(), mious.shape)
    return tried[best[0]][best[1]]


def potentials_from_counts(counts: Array) -> Array:
    """How much more often than expected, as a logarithm: above 0 for what is usual, at most `STRONGEST` either way.

    Classes are expected together as if they did not know of each other, and above or inside as often as they are together. One
    is added to both numbers, so that what was never counted and hardly expected has no say.

    Args:
        counts: (3, K, K) pairs that are unrelated, above and inside, by the class of the first and of the second region.

    Returns:
        (3, K, K) potentials together, above and inside, in nats, to three digits.
    """
    met = counts.sum(0)
    met = met + met.T
    total = max(met.sum(), 1)
    share = met.sum(1) / total
    found = [np.log((met + 1) / (total * np.outer(share, share) + 1))]
    found += [np.log((seen + 1) / (seen.sum() * met / total + 1)) for seen in counts[1:]]
    return np.asarray(np.clip(found, -STRONGEST, STRONGEST).round(3))


def _common_classes(cases: Sequence[tuple[LabelMap, Array, LabelMap]]) -> tuple[str, ...]:
    found = {tuple(one.classes.names) if one.classes else () for prediction, _, truth in cases for one in (prediction, truth)}
    if len(found) > 1 or () in found:
        listed = "; ".join(", ".join(names) or "none" for names in sorted(found))
        raise SegmentationError(
            f"Predictions and truths have different classes: {listed}. The same in the same order are needed."
        )
    return found.pop() if found else ()


def _truth_of_nodes(nodes: Array, truth: LabelMap) -> Array:
    """(N,) int32 most frequent class of each node, -1 where too few of its pixels have one."""
    if truth.size_hw != nodes.shape:
        raise SegmentationError(f"The truth has size {truth.size_hw} and its image {nodes.shape}; equal ones fit.")
    count = len(truth.classes or ())
    known = truth.ids < count
    votes = nodes[known].astype(np.int64) * count + truth.ids[known]
    votes = np.bincount(votes, minlength=(int(nodes.max()) + 1) * count).reshape(-1, count)
    enough = votes.sum(1) >= MAJORITY * np.bincount(nodes.ravel())
    return np.where(enough, votes.argmax(1), -1).astype(np.int32)


def _count(field: Field, labels: Array, classes: int) -> Array:
    """(3, K, K) pairs of each kind by the classes of their nodes."""
    first, second = labels[field.pairs].T.astype(np.int64)
    known = (first >= 0) & (second >= 0)
    index = (field.kind[known] * classes + first[known]) * classes + second[known]
    return np.bincount(index, minlength=3 * classes**2).reshape(3, classes, classes)


def _weakened(field: RegionCRF, strength: float) -> RegionCRF:
    return replace(field, **{f"{name}_weight": round(strength * getattr(field, f"{name}_weight"), 4) for name in FEATURES[1:]})


def _mious(
    learnt: Sequence[RegionCRF], fields: Sequence[Field], cases: Sequence[tuple[LabelMap, Array, LabelMap]]
) -> list[float]:
    """Mean intersection over union of all images together, over the classes that are there or are found, of each detail."""
    one, count = learnt[0], len(learnt[0].classes)
    confusions = np.zeros((len(learnt), count, count), np.int64)
    for field, (prediction, _, truth) in zip(fields, cases, strict=True):
        unary, problem = unary_of(prediction, one.confidence), energy(field, one.weights, one.potentials)
        beliefs, known = one.believe(problem), truth.ids < count
        for confusion, each in zip(confusions, learnt, strict=True):
            found, _ = each.decide(problem, beliefs, field.nodes, unary)
            pairs = truth.ids[known].astype(np.int64) * count + found[known]
            confusion += np.bincount(pairs, minlength=count**2).reshape(count, count)
    right = confusions.diagonal(axis1=1, axis2=2)
    union = confusions.sum(1) + confusions.sum(2) - right
    return [float((r[u > 0] / u[u > 0]).mean()) for r, u in zip(right, union, strict=True)]
