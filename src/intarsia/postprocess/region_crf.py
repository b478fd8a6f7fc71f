"""Labels that fit their neighbours and the scene: a conditional random field over superpixels or pixels, learnt from examples.

Galleguillos, Rabinovich, Belongie, "Object categorization using co-occurrence, location and appearance", CVPR 2008; Rabinovich et
al., "Objects in context", ICCV 2007; Shotton et al., "TextonBoost", ECCV 2006, for unaries and contrast.

Idea: a class pays for what the prediction says against it, and for borders, more where the image has no edge. It gains from
classes that are often seen with it, and from those that lie to it as they do in the examples: sky above grass, a rider above a
bicycle.

Source: E(x) = sum_i w_0 u_i(x_i) + sum_touching b_ij (w_1 + w_2 exp(-beta |c_i - c_j|^2)) [x_i != x_j]
- 1/N sum_{i<j} (w_3 phi(x_i, x_j) + w_r phi_r(x_i, x_j)), r the relation of i and j; u, b and N are
relative to the image's mean region, so that weights do not depend on how finely it is cut. As phi_below is the transpose of
phi_above, and phi_around that of phi_inside, a pair counts once, with the upper or inner region first.

Deviations: the potentials phi are logarithms of how much more often two classes are seen so than expected, and relations say what
co-occurrence does not; each kind has one weight, learnt by pseudo-likelihood, where the papers sample the partition function: see
`fit_region_crf`. Relations are thresholds (`_relations`) in place of learnt prototypes. Pixels of a superpixel may differ in the
end (`detail`), as a pole is thinner than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from intarsia.classical._belief_propagation import min_sum
from intarsia.classical._expansion import expansion
from intarsia.classical._icm import icm
from intarsia.classical._mean_field import expected_costs, mean_field
from intarsia.classical._mrf_energy import Energy
from intarsia.classical.slic import slic
from intarsia.core import Array, LabelMap, SegmentationError, SettingsError, as_image
from intarsia.postprocess._region_field import FEATURES, Field, energy, field_of_pixels, field_of_regions
from intarsia.postprocess.dense_crf import unary_from_labels, unary_from_prob

__all__ = ["Inference", "RegionCRF", "field_of", "unary_of"]

Inference = Literal["auto", "expansion", "mean_field", "belief_propagation", "icm"]


@dataclass(frozen=True)
class RegionCRF:
    """A learnt field; `fit_region_crf` makes one.

    Args:
        classes: names, in order.
        unary_weight: of the prediction, at a region of mean area.
        smooth_weight: of borders; at a border of mean length.
        contrast_weight: of borders where the image has no edge.
        together_weight: of classes in one image; 0 leaves this potential out.
        above_weight: of what is above what.
        inside_weight: of what is inside what.
        together: (K, K) symmetric potential in nats, above 0 for classes that are often seen together.
        above: (K, K) potential of the class above, by row, and the one below it.
        inside: (K, K) potential of the class inside and the one around it.
        segments: about how many superpixels an image is cut into; 0 for pixels.
        detail: whether a pixel decides by what the prediction says of it, 1, or of its superpixel, 0 (then all of them decide
            alike), or by a mean of both; beside what its superpixel hears from the others.
        inference: expansion takes no context; auto takes it where there is none, else mean field.
        iterations: of inference at most.
        confidence: how probable a hard label is, for label maps without probabilities.

    Raises:
        SettingsError: potentials that do not fit the classes or are not finite, a weight below 0, other values out of range.
    """

    classes: Sequence[str]
    unary_weight: float
    smooth_weight: float
    contrast_weight: float
    together_weight: float
    above_weight: float
    inside_weight: float
    together: Sequence[Sequence[float]]
    above: Sequence[Sequence[float]]
    inside: Sequence[Sequence[float]]
    segments: int = 300
    detail: float = 1.0
    inference: Inference = "auto"
    iterations: int = 50
    confidence: float = 0.7

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))  # comparable, and as TOML holds it
        for name in ("together", "above", "inside"):
            rows = np.asarray(getattr(self, name), np.float64)
            if rows.shape != (len(self.classes),) * 2 or not np.isfinite(rows).all():
                raise SettingsError(
                    f"The potential {name!r} has shape {rows.shape}; finite numbers, a row and a column for each of "
                    f"{len(self.classes)} classes, are expected."
                )
            object.__setattr__(self, name, tuple(map(tuple, rows.tolist())))
        if self.together != tuple(zip(*self.together, strict=True)):
            raise SettingsError("The potential 'together' is not symmetric; being together has no order.")
        for name in (*(f"{feature}_weight" for feature in FEATURES), "segments", "iterations"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value < np.inf:
                raise SettingsError(f"{name} is {value!r}; a finite number that is not negative is expected.")
        if self.inference not in get_args(Inference):
            raise SettingsError(f"inference is {self.inference!r}; it is one of {', '.join(get_args(Inference))}.")
        if not isinstance(self.detail, int | float) or not 0 <= self.detail <= 1:
            raise SettingsError(f"detail is {self.detail!r}; it lies between 0 and 1.")
        if not 0 < self.confidence < 1:
            raise SettingsError(f"confidence is {self.confidence}; how probable a label is lies between 0 and 1.")

    @property
    def weights(self) -> Array:
        """(6,) of the features, in the order of `FEATURES`."""
        return np.array([getattr(self, f"{feature}_weight") for feature in FEATURES], np.float64)

    @property
    def potentials(self) -> Array:
        """(3, K, K) together, above and inside."""
        return np.array([self.together, self.above, self.inside], np.float64)

    def __call__(self, prediction: LabelMap, image: Array) -> LabelMap:
        """Refine a prediction by the image it was made of.

        Args:
            prediction: whose `prob` is used where it has one, its hard labels otherwise (the ignore id says nothing).
            image: (H, W, C).

        Returns:
            The best label of each pixel, with `prob` (K, H, W) float32: given the superpixels' labels or, by mean field, beliefs.

        Raises:
            SegmentationError: sizes that differ, or other classes than the learnt ones.
            SettingsError: expansion with context.
        """
        names = prediction.classes.names if prediction.classes else ()
        if tuple(names) != self.classes:
            raise SegmentationError(
                f"The prediction has the classes {', '.join(names) or 'of none'}, and this field was learnt for "
                f"{', '.join(self.classes)}. Fit one to predictions of this model."
            )
        unary = unary_of(prediction, self.confidence)
        ids, prob = self.infer(field_of(unary, image, self.segments), unary)
        return LabelMap(ids.astype(prediction.ids.dtype), prediction.classes, prob)

    def infer(self, field: Field, unary: Array) -> tuple[Array, Array]:
        """(H, W) labels and (K, H, W) float32 probabilities of a field that was made of the unaries (K, H, W)."""
        problem = energy(field, self.weights, self.potentials)
        return self.decide(problem, self.believe(problem), field.nodes, unary)

    def decide(self, problem: Energy, beliefs: Array, nodes: Array, unary: Array) -> tuple[Array, Array]:
        """What pixels make of the beliefs of the nodes that they belong to, as `infer`."""
        of_node = expected_costs(problem, beliefs) - self.detail * problem.unary
        scores = np.moveaxis(of_node.astype(np.float32)[nodes], 2, 0) + np.float32(self.detail * self.unary_weight) * unary
        prob = np.exp(scores.min(0) - scores)
        return scores.argmin(0), prob / prob.sum(0)

    def believe(self, problem: Energy) -> Array:
        """(N, K) probabilities by mean field, else 1 at the label that was found."""
        context = problem.table is not None
        inference = ("mean_field" if context else "expansion") if self.inference == "auto" else self.inference
        if inference == "mean_field":
            return mean_field(problem, iterations=self.iterations)
        if inference == "expansion":
            if context:
                raise SettingsError(
                    "Expansion needs a metric, which potentials of context are not. Take another inference, or set "
                    "together_weight, above_weight and inside_weight to 0."
                )
            labels = expansion(problem, max_sweeps=self.iterations).labels
        elif inference == "icm":
            labels = icm(problem, max_sweeps=self.iterations).labels
        else:
            labels = min_sum(problem, iterations=self.iterations, damping=0.5).labels
        return np.eye(len(self.classes))[labels]


def unary_of(prediction: LabelMap, confidence: float) -> Array:
    """(K, H, W) -log p of a prediction's probabilities, or of its hard labels."""
    return unary_from_labels(prediction, confidence) if prediction.prob is None else unary_from_prob(prediction.prob)


def field_of(unary: Array, image: Array, segments: int) -> Field:
    """The field of the superpixels of an image (H, W, C) with unaries (K, H, W), or of its pixels for 0."""
    image = as_image(image)
    if image.shape[:2] != unary.shape[1:]:
        raise SegmentationError(f"The prediction has size {unary.shape[1:]} and the image {image.shape[:2]}; equal ones fit.")
    return field_of_regions(slic(image, segments=segments), image, unary) if segments else field_of_pixels(image, unary)
