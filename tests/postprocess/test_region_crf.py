"""A field over regions, against every labelling of four regions with three labels."""

from itertools import product

import numpy as np
import pytest

from intarsia.classical._expansion import expansion
from intarsia.classical._mrf_energy import Energy, potts
from intarsia.core import ClassSpace, LabelMap, SegmentationError, SettingsError
from intarsia.inference.refined import Refined, create_refinement, write_refinement
from intarsia.postprocess._region_field import energy, field_of_pixels, field_of_regions, local_costs, statistics
from intarsia.postprocess.region_crf import RegionCRF

SKY_GRASS = ClassSpace.from_names(["sky", "grass"])
EVERY = np.array(list(product(range(3), repeat=4)))
WEIGHTS = ("unary_weight", "smooth_weight", "contrast_weight", "together_weight", "above_weight", "inside_weight")


def ball_and_wall() -> np.ndarray:
    """Region 0 above 1 and 2, 2 inside 1, 3 on the right from top to bottom."""
    ids = np.zeros((20, 30), np.int32)
    ids[10:] = 1
    ids[13:17, 5:9] = 2
    ids[:, 20:] = 3
    return ids


def random_field(seed: int):
    rng = np.random.default_rng(seed)
    ids = ball_and_wall()
    image = rng.integers(0, 256, (4, 3), dtype=np.uint8)[ids]
    return field_of_regions(ids, image, rng.gamma(1, 1, (4, 3)).T[:, ids])


def random_potentials(seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(3, 3, 3))
    drawn[0] += drawn[0].T
    return drawn


def learnt(potentials=None, classes=("a", "b", "c"), **more) -> RegionCRF:
    given = dict(zip(WEIGHTS, (1.0, 0.3, 0.5, 2.0, 2.0, 2.0), strict=True)) | more
    together, above, inside = np.zeros((3, len(classes), len(classes))) if potentials is None else potentials
    return RegionCRF(classes, **{"together": together, "above": above, "inside": inside, **given})


def sky_over_grass(weight: float = 4.0, **more) -> RegionCRF:
    above = np.array([[0.0, 0.7], [-2.0, 0.0]])
    return learnt(np.stack([0 * above, above, 0 * above]), SKY_GRASS.names, above_weight=weight, **more)


def test_a_field_by_hand() -> None:
    """Four quarters of a square of side 4, the first of another colour than the rest; the last one pixel larger."""
    ids = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 3, 3, 3]], np.int32)
    unary = np.stack([ids + 1.0, 0 * ids])
    field = field_of_regions(ids, np.where(ids == 0, 0, 255).astype(np.uint8)[..., None], unary)
    assert field.unary[:, 0].tolist() == [4 / 4, 8 / 4, 9 / 4, 20 / 4]
    assert field.edges.tolist() == [[0, 1], [0, 2], [1, 3], [2, 3]]
    assert field.border.tolist() == [2 / 2.25, 2 / 2.25, 2 / 2.25, 3 / 2.25]
    assert field.contrast == pytest.approx([np.exp(-1), np.exp(-1), 1, 1])
    assert {(*map(int, pair), int(kind)) for pair, kind in zip(field.pairs, field.kind, strict=True)} == {
        (0, 1, 0),
        (1, 2, 0),
        (0, 2, 1),
        (1, 3, 1),
        (0, 3, 1),
        (2, 3, 1),
    }
    assert field.share == 1 / 4
    weights, labels = np.array([1, 2, 3, 5, 7, 0]), np.array([0, 0, 1, 1])
    above = np.array([[0, 1.0], [0, 0]])
    expected = 1 + 2 + (2 * 2 / 2.25) * 2 + 3 * (2 / 2.25) * (np.exp(-1) + 1) - 5 * 2 / 4 - 7 * 3 / 4
    assert energy(field, weights, np.stack([np.eye(2), above, above])).cost(labels) == pytest.approx(expected)


def test_pixels_by_hand() -> None:
    unary = np.arange(12.0).reshape(2, 2, 3)
    field = field_of_pixels(np.zeros((2, 3, 3), np.uint8), unary)
    assert field.unary.tolist() == unary.reshape(2, 6).T.tolist()
    assert field.border.tolist() == [1] * 7 + [np.sqrt(0.5)] * 4
    assert field.pairs[field.kind == 1].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert set(field.kind.tolist()) == {0, 1}


@pytest.mark.parametrize("seed", range(3))
def test_the_energy_is_the_features_by_the_weights(seed: int) -> None:
    field, potentials, weights = random_field(seed), random_potentials(seed), np.random.default_rng(seed).random(6)
    problem = energy(field, weights, potentials)
    for labels in EVERY:
        assert problem.cost(labels) == pytest.approx(weights @ statistics(field, labels, potentials))


@pytest.mark.parametrize("seed", range(3))
def test_below_is_above_turned_over(seed: int) -> None:
    """A flipped scene with phi_above transposed has the same energies; what is around is inside seen from the other side."""
    ids = ball_and_wall()
    image = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    unary = np.random.default_rng(seed).gamma(1, 1, (3, 20, 30))
    together, above, inside = random_potentials(seed)
    upright = energy(field_of_regions(ids, image, unary), np.ones(6), np.stack([together, above, inside]))
    turned = energy(field_of_regions(ids[::-1], image[::-1], unary[:, ::-1]), np.ones(6), np.stack([together, above.T, inside]))
    for labels in EVERY:
        assert upright.cost(labels) == pytest.approx(turned.cost(labels))


@pytest.mark.parametrize("seed", range(3))
def test_local_costs_are_the_features_that_a_node_changes(seed: int) -> None:
    field, potentials = random_field(seed), random_potentials(seed)
    labels = np.random.default_rng(seed).integers(0, 3, 4)
    local = local_costs(field, labels, potentials, np.arange(4))
    for node, label in product(range(4), range(3)):
        changed, base = labels.copy(), labels.copy()
        changed[node], base[node] = label, 0
        difference = statistics(field, changed, potentials) - statistics(field, base, potentials)
        assert local[node, label] - local[node, 0] == pytest.approx(difference, abs=1e-12)
    kept, near = (field.pairs != 3).all(1), (field.edges != 3).all(1)
    without = field._replace(
        pairs=field.pairs[kept],
        kind=field.kind[kept],
        edges=field.edges[near],
        border=field.border[near],
        contrast=field.contrast[near],
    )
    unknown = np.where(np.arange(4) == 3, -1, labels)
    rows = np.arange(3)
    assert local_costs(field, unknown, potentials, rows) == pytest.approx(local_costs(without, labels, potentials, rows))


@pytest.mark.parametrize("seed", range(3))
def test_the_likelihood_s_gradient_is_expected_less_empirical_features(seed: int) -> None:
    """Of log p(x) = -w f(x) - log Z, Z by enumeration of the energies."""
    field, potentials, weights = random_field(seed), random_potentials(seed), np.random.default_rng(seed).random(6) + 0.1
    true = np.random.default_rng(seed).integers(0, 81)

    def likelihood(weights: np.ndarray) -> tuple[float, np.ndarray]:
        problem = energy(field, weights, potentials)
        scores = np.array([-problem.cost(labels) for labels in EVERY])
        prob = np.exp(scores - scores.max())
        return float(scores[true] - scores.max() - np.log(prob.sum())), prob / prob.sum()

    features = np.array([statistics(field, labels, potentials) for labels in EVERY])
    gradient = likelihood(weights)[1] @ features - features[true]
    for f, step in enumerate(1e-5 * np.eye(6)):
        difference = (likelihood(weights + step)[0] - likelihood(weights - step)[0]) / 2e-5
        assert difference == pytest.approx(gradient[f], abs=1e-6)


@pytest.mark.parametrize("inference", ["mean_field", "belief_propagation", "icm"])
def test_inference_against_all_labellings(inference: str) -> None:
    reached, ids = 0, ball_and_wall()
    for seed in range(20):
        field, potentials = random_field(seed), random_potentials(seed)
        refined = learnt(potentials, inference=inference, detail=0)
        found, prob = refined.infer(field, np.zeros((3, 20, 30)))
        assert prob.sum(0) == pytest.approx(np.ones((20, 30)))
        assert np.array_equal(prob.argmax(0), found)
        labels = np.array([found[ids == region][0] for region in range(4)])
        assert np.array_equal(labels[ids], found)
        problem = energy(field, refined.weights, potentials)
        cost, lowest = problem.cost(labels), min(problem.cost(x) for x in EVERY)
        assert cost >= lowest - 1e-12
        reached += cost < lowest + 1e-9
    assert reached >= {"mean_field": 16, "belief_propagation": 16, "icm": 10}[inference]


@pytest.mark.parametrize("seed", range(5))
def test_without_potentials_or_their_weights_it_is_the_plain_crf(seed: int) -> None:
    field, nothing = random_field(seed), dict.fromkeys(WEIGHTS[3:], 0.0)
    plain = Energy(field.unary, field.edges, field.border * (0.3 + 0.5 * field.contrast), potts(3))
    expected = expansion(plain).labels
    assert plain.cost(expected) == pytest.approx(min(plain.cost(x) for x in EVERY)), "Potts of so few nodes"
    for one in (learnt(detail=0), learnt(random_potentials(seed), detail=0, **nothing)):
        assert np.array_equal(one.infer(field, np.zeros((3, 20, 30)))[0], expected[ball_and_wall()])
    beliefs = [learnt(given, inference="mean_field", **off) for given, off in ((None, {}), (random_potentials(seed), nothing))]
    one, other = (each.infer(field, np.zeros((3, 20, 30)))[1] for each in beliefs)
    assert one == pytest.approx(other)


@pytest.mark.parametrize("inference", ["mean_field", "belief_propagation", "icm"])
def test_of_two_regions_the_upper_is_sky(inference: str) -> None:
    ids, tie = np.repeat([0, 1], 5)[:, None] * np.ones((1, 6), np.int32), np.ones((2, 10, 6))
    for regions in (ids, 1 - ids):
        field = field_of_regions(regions.astype(np.int32), np.zeros((10, 6, 3), np.uint8), tie)
        found = sky_over_grass(inference=inference).infer(field, tie)[0]
        assert np.array_equal(found, ids), "however regions are numbered"


@pytest.mark.parametrize("detail", [0, 1])
@pytest.mark.parametrize("inference", ["mean_field", "belief_propagation"])
def test_what_is_above_grass_is_sky(inference: str, detail: float) -> None:
    """The prediction does not know which is which; turned upside down, each takes the other's name."""
    image = np.zeros((20, 16, 3), np.uint8)
    image[10:] = 200
    prob = np.full((2, 20, 16), 0.5, np.float32)
    unsure = LabelMap(np.zeros((20, 16), np.uint8), SKY_GRASS, prob)
    field = sky_over_grass(inference=inference, detail=detail, segments=8, smooth_weight=0, contrast_weight=0.5)
    for seen in (image, image[::-1]):
        assert (field(unsure, seen).ids[:5] == 0).all()
        assert (field(unsure, seen).ids[-5:] == 1).all()
    prob[0, :10], prob[1, :10] = 0.02, 0.98
    assert (field(LabelMap(unsure.ids, SKY_GRASS, prob), image).ids == 1).all(), "sure of grass above, it is grass below too"


def test_a_pixel_may_differ_from_its_superpixel() -> None:
    """A pole of one pixel, of which the prediction is sure, in a wall where it is not."""
    image, prob = np.full((24, 24, 3), 90, np.uint8), np.full((2, 24, 24), 0.4, np.float32)
    prob[0] = 0.6
    prob[:, :, 12] = np.array([0.001, 0.999])[:, None]
    prediction = LabelMap(prob.argmax(0).astype(np.uint8), SKY_GRASS, prob)
    kept, lost = (sky_over_grass(0, segments=9, detail=detail)(prediction, image) for detail in (1, 0))
    assert np.array_equal(kept.ids, prediction.ids)
    assert not lost.ids.any()
    assert kept.prob.dtype == lost.prob.dtype == np.float32
    assert kept.prob.sum(0) == pytest.approx(np.ones((24, 24)))


def test_pixels_are_smoothed_along_the_image() -> None:
    truth = (np.arange(16) >= 8).astype(np.uint8) * np.ones((12, 1), np.uint8)
    image = np.repeat((40 + 160 * truth)[..., None], 3, 2).astype(np.uint8)
    wrong = np.random.default_rng(0).random(truth.shape) < 0.15
    noisy = LabelMap(truth ^ wrong.astype(np.uint8), SKY_GRASS)
    for inference in ("auto", "mean_field", "belief_propagation"):
        field = sky_over_grass(0, segments=0, smooth_weight=0.05, contrast_weight=0.6, inference=inference)
        assert (field(noisy, image).ids != truth).mean() < 0.03 < wrong.mean()


def test_it_refines_a_predictor_from_a_file(tmp_path) -> None:
    field = sky_over_grass(segments=8)
    path = write_refinement(tmp_path / "field.toml", "region_crf", field, "of skies")
    assert create_refinement(file=path) == ("region_crf", field)
    off = create_refinement("region_crf", {"above_weight": 0}, path)[1]
    assert off == sky_over_grass(0, segments=8)
    assert create_refinement("region_crf", {**vars(field), "classes": list(field.classes)})[1] == field

    class Unsure:
        name, task, classes = "unsure", "semantic", SKY_GRASS

        def predict(self, image, hints=None, *, prob=False):
            even = np.full((2, *image.shape[:2]), 0.5, np.float32) if prob else None
            return LabelMap(np.zeros(image.shape[:2], np.uint8), SKY_GRASS, even)

    image = np.zeros((20, 16, 3), np.uint8)
    image[10:] = 200
    refined = Refined(Unsure(), field, "region_crf")
    assert refined.name == "unsure + region_crf"
    assert (refined.predict(image).ids[[0, -1]] == [[0], [1]]).all()


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"region_crf has to be learnt before it refines: classes, unary_weight, .* missing"):
        create_refinement("region_crf")
    with pytest.raises(SettingsError, match=r"potential 'above' has shape \(2, 2\); .* each of 3 classes"):
        learnt(above=np.zeros((2, 2)))
    with pytest.raises(SettingsError, match="'together' is not symmetric"):
        learnt(together=[[0, 1, 0], [0, 0, 0], [0, 0, 0]])
    with pytest.raises(SettingsError, match="contrast_weight is -1; a finite number that is not negative"):
        learnt(contrast_weight=-1)
    with pytest.raises(SettingsError, match="above_weight is 'strong'; a finite number"):
        learnt(above_weight="strong")
    with pytest.raises(SettingsError, match="inference is 'cuts'; it is one of auto, expansion, mean_field"):
        learnt(inference="cuts")
    with pytest.raises(SettingsError, match="detail is 2; it lies between 0 and 1"):
        learnt(detail=2)
    with pytest.raises(SettingsError, match="confidence is 1"):
        learnt(confidence=1.0)
    labels, image = LabelMap(np.zeros((20, 16), np.uint8), SKY_GRASS), np.zeros((20, 16, 3), np.uint8)
    with pytest.raises(
        SegmentationError, match="The prediction has the classes sky, grass, and this field was learnt for a, b, c"
    ):
        learnt()(labels, image)
    with pytest.raises(SegmentationError, match=r"size \(20, 16\) and the image \(16, 20\)"):
        sky_over_grass()(labels, np.zeros((16, 20, 3), np.uint8))
    with pytest.raises(SettingsError, match="Expansion needs a metric"):
        sky_over_grass(inference="expansion", segments=4)(labels, image)
