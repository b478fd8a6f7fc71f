import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import cohen_kappa_score, rand_score

from intarsia.core import ClassSpace, LabelMap, SegmentationError
from intarsia.metrics import bootstrap
from intarsia.metrics.confusion import ConfusionEvidence, score_confusion, score_tallies
from intarsia.metrics.human_consistency import observe_class_consistency, observe_region_consistency
from intarsia.metrics.region_overlap import RegionEvidence, score_region_overlap

CLASSES = ClassSpace.from_names(["a", "b"])


def labels(*rows) -> list[LabelMap]:
    return [LabelMap(np.array([row], np.uint8), CLASSES) for row in rows]


def test_classes_by_hand() -> None:
    """Three annotators of four pixels, of whom the third differs in one: 4 of the 6 ordered pairs differ by it."""
    evidence = observe_class_consistency(labels([0, 0, 1, 1], [0, 0, 1, 1], [0, 1, 1, 1]), "a")
    assert evidence.keys == ("a",)
    assert evidence.counts[0].tolist() == [[8, 2, 0], [2, 12, 0]]
    scores = score_confusion(evidence)
    assert scores.pixel_accuracy == 20 / 24
    assert scores.iou.tolist() == [8 / 12, 12 / 16]


def test_kappa_of_two_people_equals_sklearn() -> None:
    rng = np.random.default_rng(0)
    one = rng.integers(0, 2, 200)
    other = np.where(rng.random(200) < 0.8, one, 1 - one)
    kappa = score_confusion(observe_class_consistency(labels(one, other), "a")).kappa
    # Both orders are counted, so the shares of a class are the mean of the two people's: nearly the same.
    assert kappa == pytest.approx(cohen_kappa_score(one, other), abs=0.01)
    assert kappa == pytest.approx(cohen_kappa_score(np.append(one, other), np.append(other, one)))


def test_regions_equal_the_mean_over_pairs() -> None:
    rng = np.random.default_rng(1)
    maps = [np.kron(rng.integers(0, 4, (4, 5)), np.ones((4, 4), np.int32)).astype(np.int32) for _ in range(3)]
    scores = score_region_overlap(observe_region_consistency([LabelMap(ids) for ids in maps], "a"))
    pairs = [rand_score(maps[i].ravel(), maps[j].ravel()) for i in range(3) for j in range(3) if i != j]
    assert scores["rand_index"] == pytest.approx(np.mean(pairs))
    assert scores["boundary_recall"] == pytest.approx(scores["boundary_precision"]), "each pair is compared both ways"
    assert scores["over_segmentation"] == pytest.approx(scores["under_segmentation"])


def test_the_people_of_bsds_reach_what_is_published(shared_data) -> None:
    """Rand 0.88, variation of information 1.17, covering 0.72 (Arbelaez et al. 2011, table 2; this is a tenth of its images)."""
    folder = shared_data("bsds") / "segmentations"
    keys = sorted({path.stem.rsplit("_a", 1)[0] for path in folder.glob("*.png")})
    rows = [
        observe_region_consistency(
            [LabelMap(np.array(Image.open(path)).astype(np.int32)) for path in sorted(folder.glob(f"{key}_a*.png"))], key
        )
        for key in keys
    ]
    scores = score_region_overlap(RegionEvidence.concatenate(rows))
    assert scores["rand_index"] == pytest.approx(0.88, abs=0.02)
    assert scores["variation_of_information"] == pytest.approx(1.17, abs=0.03)
    assert scores["covering"] == pytest.approx(0.72, abs=0.02)


def test_people_who_agree_are_perfect_and_images_are_drawn() -> None:
    same = labels([0, 1, 1], [0, 1, 1])
    assert score_confusion(observe_class_consistency(same, "a")).miou == 1
    perfect = score_region_overlap(observe_region_consistency(same, "a"))
    assert (perfect["rand_index"], perfect["covering"], perfect["boundary_recall"]) == (1, 1, 1)
    flat = score_region_overlap(observe_region_consistency(labels([1, 1], [1, 1]), "a"))
    assert flat["covering"] == 1
    assert flat.to_dict()["boundary_recall"] is None
    rows = [observe_class_consistency(labels([0, 1, i % 2], [0, 1, 1]), str(i)) for i in range(6)]
    low, high = bootstrap(ConfusionEvidence.concatenate(rows), score_tallies).of("pixel_accuracy")
    assert low < 5 / 6 < high


def test_errors() -> None:
    with pytest.raises(SegmentationError, match="a: 1 annotator is not enough"):
        observe_region_consistency(labels([0]), "a")
    with pytest.raises(SegmentationError, match="a: the prediction is 1 x 1 pixels"):
        observe_class_consistency(labels([0], [0, 1]), "a")
