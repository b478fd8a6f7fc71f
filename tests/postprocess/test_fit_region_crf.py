"""What is learnt from examples, against counts by hand and against fields whose weights are known."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from intarsia.classical._pseudo_likelihood import learn_weights
from intarsia.core import ClassSpace, LabelMap, SegmentationError, SettingsError
from intarsia.postprocess._region_field import energy, field_of_regions, local_costs
from intarsia.postprocess.fit_region_crf import fit_region_crf, potentials_from_counts

CLASSES = ClassSpace.from_names(["sky", "grass", "ball"])


def meadow(seed: int, turned: bool = False):
    """Sky above grass with a ball in it; a prediction that is often wrong, and unsure of all of it; the image and the truth."""
    rng = np.random.default_rng(seed)
    horizon, y, x = rng.integers(14, 22), rng.integers(26, 32), rng.integers(4, 34)
    ids = np.zeros((40, 48), np.uint8)
    ids[horizon:], ids[y : y + 6, x : x + 8] = 1, 2
    ids = ids[::-1] if turned else ids
    image = np.clip(np.array([[150, 160, 170], [140, 165, 150], [190, 150, 150]])[ids] + rng.normal(0, 6, (40, 48, 3)), 0, 255)
    blocks = np.kron(rng.dirichlet([0.8, 0.8, 0.2], (5, 6)), np.ones((8, 8, 1)))
    prob = np.moveaxis(0.6 * blocks + 0.3 * np.eye(3)[ids] + 0.1 / 3, 2, 0).astype(np.float32)
    return LabelMap(prob.argmax(0).astype(np.uint8), CLASSES, prob), image.astype(np.uint8), LabelMap(ids.copy(), CLASSES)


def wrong(refine, cases) -> float:
    return float(np.mean([(refine(prediction, image).ids != truth.ids).mean() for prediction, image, truth in cases]))


def test_potentials_by_hand() -> None:
    """Eight pairs: sky above grass 4 times, and in no order 2 times; grass inside grass 2 times."""
    counts = np.zeros((3, 2, 2), int)
    counts[0, 1, 0], counts[1, 0, 1], counts[2, 1, 1] = 2, 4, 2
    together, above, inside = potentials_from_counts(counts)
    # both ways 16: sky with sky 0, sky with grass 6 each way, grass with grass 4; shares of sky and grass 6/16, 10/16
    assert together[0, 1] == together[1, 0] == pytest.approx(np.log((6 + 1) / (16 * 6 / 16 * 10 / 16 + 1)), abs=5e-4)
    assert together[0, 0] == pytest.approx(np.log(1 / (16 * (6 / 16) ** 2 + 1)), abs=5e-4)
    assert above[0, 1] == pytest.approx(np.log((4 + 1) / (4 * 6 / 16 + 1)), abs=5e-4)
    assert above[1, 0] == pytest.approx(np.log(1 / (4 * 6 / 16 + 1)), abs=5e-4)
    assert inside[1, 1] == pytest.approx(np.log((2 + 1) / (2 * 4 / 16 + 1)), abs=5e-4)
    assert not potentials_from_counts(np.zeros((3, 2, 2), int)).any()
    assert potentials_from_counts(1000 * counts).min() == -3


def test_order_without_meaning_has_no_potential() -> None:
    """Where classes are drawn without regard to each other, nothing is expected more than it is seen."""
    share = np.array([0.5, 0.3, 0.2])
    counts = np.stack([n * np.outer(share, share) for n in (30000, 20000, 10000)])
    assert np.abs(potentials_from_counts(counts)).max() < 1e-3


def test_planted_weights_are_found_again() -> None:
    """Labels of four regions, drawn by their exact probabilities under known weights, in 12 images of random colours."""
    rng, planted = np.random.default_rng(0), np.array([0.9, 0.5, 0.8, 4.0, 6.0, 8.0])
    every = np.array(list(product(range(3), repeat=4)))
    potentials = rng.normal(size=(3, 3, 3))
    potentials[0] += potentials[0].T
    ids = np.zeros((20, 30), np.int32)
    ids[10:], ids[13:17, 5:9] = 1, 2
    ids[:, 20:] = 3
    costs, labels, worth = [], [], []
    for _ in range(12):
        image, unary = rng.integers(0, 256, (4, 3), dtype=np.uint8)[ids], rng.gamma(1, 1, (4, 3)).T[:, ids]
        field = field_of_regions(ids, image, unary)
        problem = energy(field, planted, potentials)
        prob = np.exp(-np.array([problem.cost(x) for x in every]))
        for x, times in zip(every, rng.multinomial(5000, prob / prob.sum()), strict=True):
            if times:
                costs.append(local_costs(field, x, potentials, np.arange(4)))
                labels.append(x)
                worth.append(np.full(4, float(times)))
    found = learn_weights(np.concatenate(costs), np.concatenate(labels), np.concatenate(worth), spread=1000.0)
    assert found == pytest.approx(planted, rel=0.1)


@pytest.fixture(scope="module")
def learnt():
    return fit_region_crf([meadow(seed) for seed in range(6)], segments=60)


def test_what_it_learns_helps_on_other_images(learnt) -> None:
    cases = [meadow(seed) for seed in range(20, 25)]
    plain = replace(learnt, together_weight=0, above_weight=0, inside_weight=0)
    before = np.mean([(prediction.ids != truth.ids).mean() for prediction, _, truth in cases])
    assert wrong(learnt, cases) < 0.85 * before
    assert wrong(learnt, cases) < wrong(plain, cases) - 0.02
    assert learnt.above[0][1] > 0.3
    assert learnt.above[1][0] < -2, "there is no grass above the sky"
    assert learnt.above[2][0] < 0
    assert learnt.classes == CLASSES.names


def test_turned_upside_down_it_learns_the_opposite(learnt) -> None:
    turned = fit_region_crf([meadow(seed, turned=True) for seed in range(6)], segments=60)
    unsure = np.array([0.48, 0.48, 0.04], np.float32)[:, None, None] * np.ones((1, 40, 48), np.float32)
    prediction = LabelMap(np.zeros((40, 48), np.uint8), CLASSES, unsure)
    image = np.full((40, 48, 3), 128, np.uint8)
    for field, sky, ground in ((learnt, slice(0, 4), slice(-4, None)), (turned, slice(-4, None), slice(0, 4))):
        seen = field(prediction, image).ids
        assert (seen[sky] == 0).mean() > 0.9
        assert (seen[ground] != 0).mean() > 0.9


def test_the_same_examples_give_the_same_field_and_pixels_can_be_fitted() -> None:
    cases = [tuple(part for part in meadow(seed)) for seed in range(2)]
    one, again = (fit_region_crf(cases, segments=0, nodes=300, strengths=[0.5], details=[1]) for _ in range(2))
    assert one == again
    assert one.segments == 0
    assert wrong(one, cases) < np.mean([(prediction.ids != truth.ids).mean() for prediction, _, truth in cases])


def test_what_cannot_be_helped_is_left_alone() -> None:
    """Sure and right predictions of single pixels, which regions can only spoil."""
    cases = []
    for seed in range(3):
        ids = np.random.default_rng(seed).integers(0, 3, (24, 24)).astype(np.uint8)
        image = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        prob = np.moveaxis(0.1 + 0.7 * np.eye(3, dtype=np.float32)[ids], 2, 0)
        cases.append((LabelMap(ids, CLASSES, prob), image, LabelMap(ids, CLASSES)))
    assert wrong(fit_region_crf(cases, segments=20), cases) == 0


def test_regions_without_truth_teach_nothing() -> None:
    prediction, image, truth = meadow(0)
    hidden = truth.ids.copy()
    hidden[truth.ids == 2] = CLASSES.ignore_id
    field = fit_region_crf([(prediction, image, LabelMap(hidden, CLASSES))], segments=60, strengths=[1])
    assert field.together[2] == (0, 0, 0)
    assert np.isfinite(field.weights).all()


def test_errors() -> None:
    prediction, image, truth = meadow(0)
    nowhere = LabelMap(np.full_like(truth.ids, CLASSES.ignore_id), CLASSES)
    with pytest.raises(SettingsError, match="There are 1 examples with 0 regions that have a truth, 6 strengths and 3 details"):
        fit_region_crf([(prediction, image, nowhere)], segments=20)
    with pytest.raises(SettingsError, match="There are 0 examples"):
        fit_region_crf([])
    other = LabelMap(truth.ids, ClassSpace.from_names(["sky", "grass", "cow"]))
    with pytest.raises(SegmentationError, match="different classes: sky, grass, ball; sky, grass, cow"):
        fit_region_crf([(prediction, image, other)])
    with pytest.raises(SegmentationError, match=r"truth has size \(20, 48\) and its image \(40, 48\)"):
        fit_region_crf([(prediction, image, LabelMap(truth.ids[:20], CLASSES))], segments=20)
