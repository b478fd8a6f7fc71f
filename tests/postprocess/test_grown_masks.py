import numpy as np
import pytest

from intarsia.core import SettingsError
from intarsia.postprocess import create_decoder
from intarsia.postprocess.grown_masks import decode_grown_masks, seediness, similarity_to

BANDWIDTHS = np.float32([0.25, 0.75])


def scene() -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Two objects of classes 0 and 1 in 8 x 12 pixels; a third part has the vector of the first, far from it."""
    ids = np.zeros((8, 12), np.int64)
    ids[1:5, 1:5], ids[2:7, 5:9], ids[6:8, 0:2] = 1, 2, 1
    vectors = np.float32([[0, 0], [6, 0], [0, 6]])[ids].transpose(2, 0, 1)
    scores = np.zeros((2, 3, 8, 12), np.float32)  # bandwidth, class
    scores[:, 0] = 9 * (ids == 0)
    scores[1, 1] = 5.0 * (ids == 1)
    scores[0, 2] = 7.0 * (ids == 2)
    scores[1, 1, 2, 2] = 6
    return vectors, {"seed_scores": scores.reshape(6, 8, 12), "bandwidths": BANDWIDTHS}, ids


def test_similarity() -> None:
    vectors = np.float32([[0, 1, 0, 100], [0, 0, 2, 0]])
    expected = [1, 2 / (1 + np.e), 2 / (1 + np.exp(4)), 0]
    assert similarity_to(vectors, 0) == pytest.approx(expected, abs=1e-7)
    assert [similarity_to(vectors, seed)[seed] for seed in range(4)] == [1, 1, 1, 1]
    table = np.stack([similarity_to(vectors, seed) for seed in range(4)])
    assert np.array_equal(table, table.T)
    assert ((table >= 0) & (table <= 1)).all()


def test_seediness_by_hand() -> None:
    scores = np.log(np.float32([[8, 1, 1], [2, 2, 6]])).reshape(6, 1, 1)  # two bandwidths; background, two classes
    score, bandwidth, class_index = seediness(scores, BANDWIDTHS)
    assert score.item() == pytest.approx(0.6)
    assert (bandwidth.item(), class_index.item()) == (0.75, 1)


def test_objects_in_the_order_of_their_score() -> None:
    vectors, parts, ids = scene()
    masks, class_index, score = decode_grown_masks(vectors, parts, (8, 12))
    assert class_index.tolist() == [1, 0]
    assert np.array_equal(masks.mask(0), ids == 2)
    assert np.array_equal(masks.mask(1), ids == 1)
    assert score == pytest.approx([np.exp(7) / (np.exp(7) + 2), np.exp(6) / (np.exp(6) + 2)], rel=1e-5)
    assert (class_index.dtype, score.dtype) == (np.int64, np.float32)


def test_options() -> None:
    vectors, parts, _ = scene()
    alone = decode_grown_masks(vectors, parts, (8, 12), connected=True)[0]
    assert alone.areas().tolist() == [20, 16]
    assert len(decode_grown_masks(vectors, parts, (8, 12), max_objects=1)[0]) == 1
    assert len(decode_grown_masks(vectors, parts, (8, 12), min_score=0.997)[0]) == 1
    assert decode_grown_masks(vectors, parts, (8, 12), min_size=21)[0].areas().tolist() == []
    assert create_decoder("grown_masks", {"alpha": 0.0})(vectors, parts, (8, 12))[1].tolist() == [1, 0]


def test_unlike_seeds_come_first_and_all_come_if_alikeness_is_allowed() -> None:
    """A line of vectors: the second best seed lies beside the best, the third far away; with alpha the far one is next."""
    vectors = np.float32([[0.0, 0.3, 4.0]])[:, None]
    prob = np.float32([0.9, 0.8, 0.6])
    scores = np.stack([np.log(1 - prob), np.log(prob)])[:, None]
    parts = {"seed_scores": scores, "bandwidths": np.float32([0.9])}
    assert decode_grown_masks(vectors, parts, (1, 3), most_alike=1.0)[2] == pytest.approx([0.9, 0.6, 0.8])
    assert decode_grown_masks(vectors, parts, (1, 3), most_alike=1.0, alpha=0.0)[2] == pytest.approx([0.9, 0.8, 0.6])
    assert decode_grown_masks(vectors, parts, (1, 3))[2] == pytest.approx([0.9, 0.6])


@pytest.mark.parametrize("size_hw", [(0, 3), (1, 1), (2, 3)])
def test_nothing_there(size_hw: tuple[int, int]) -> None:
    scores = np.stack([np.full(size_hw, 50.0), np.zeros(size_hw)])
    parts = {"seed_scores": scores, "bandwidths": np.float32([0.5])}
    masks, class_index, score = decode_grown_masks(np.zeros((2, *size_hw), np.float32), parts, size_hw, min_score=0.0)
    assert len(masks) == len(class_index) == len(score) <= 1  # a score of 2e-22 is one, if none is asked for
    assert len(decode_grown_masks(np.zeros((2, *size_hw), np.float32), parts, size_hw)[0]) == 0


def test_error() -> None:
    vectors, parts, _ = scene()
    with pytest.raises(SettingsError, match=r"alpha is -1, min_score 0.05, most_alike 0.25"):
        decode_grown_masks(vectors, parts, (8, 12), alpha=-1)
