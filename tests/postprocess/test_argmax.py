import numpy as np
import pytest
import torch
from torch.nn import functional as F

from intarsia.core import SegmentationError
from intarsia.postprocess import argmax
from intarsia.postprocess.argmax import argmax_label


def test_scores_are_enlarged_before_the_decision_by_hand() -> None:
    # Class 1 leads by -1 at the left pixel and by 3 at the right; at width 4 the centres lie at 0, 1/4, 3/4, 1 of the way:
    # leads -1, 0, 2, 3. The tie goes to class 0. Labels enlarged afterwards would have said 0 0 1 1 from leads of any size.
    logits = torch.tensor([[[[1.0, 0.0]], [[0.0, 3.0]]]])
    ids, probs = argmax_label(logits, [(1, 4)], prob=True)
    assert ids[0].tolist() == [[0, 0, 1, 1]]
    assert ids[0].dtype == np.uint8
    np.testing.assert_allclose(probs[0][1, 0], 1 / (1 + np.exp([1, 0, -2, -3])), rtol=1e-6)
    narrow_lead = torch.tensor([[[[1.0, 0.0]], [[0.0, 0.2]]]])  # leads -1, -0.7, -0.1, 0.2
    assert argmax_label(narrow_lead, [(1, 4)])[0][0].tolist() == [[0, 0, 0, 1]]


def test_one_logit_is_a_sigmoid_threshold() -> None:
    ids, probs = argmax_label(torch.tensor([[[[-0.1, 0.0, 0.1]]]]), [(1, 3)], prob=True)
    assert ids[0].tolist() == [[0, 0, 1]]
    np.testing.assert_allclose(probs[0][1, 0], torch.tensor([-0.1, 0.0, 0.1]).sigmoid(), rtol=1e-6)
    np.testing.assert_allclose(probs[0].sum(0), 1, rtol=1e-6)


@pytest.mark.parametrize("size_hw", [(9, 14), (31, 50), (9, 50), (31, 14), (5, 8), (1, 1)])
@pytest.mark.parametrize("strip_values", [1, 1000, 1 << 24])
def test_equals_interpolating_the_whole(monkeypatch: pytest.MonkeyPatch, size_hw: tuple[int, int], strip_values: int) -> None:
    monkeypatch.setattr(argmax, "STRIP_VALUES", strip_values)
    torch.manual_seed(0)
    logits = torch.randn(2, 7, 9, 14)
    expected = F.interpolate(logits, size_hw, mode="bilinear", align_corners=False)
    ids, probs = argmax_label(logits, [size_hw, size_hw], prob=True)
    assert np.array_equal(np.stack(ids), expected.argmax(1).numpy())
    np.testing.assert_allclose(np.stack(probs), expected.softmax(1).numpy(), atol=1e-5)


def test_each_image_at_its_own_size_and_without_probabilities_unless_asked() -> None:
    ids, probs = argmax_label(torch.randn(2, 3, 4, 4), [(8, 6), (4, 4)])
    assert [array.shape for array in ids] == [(8, 6), (4, 4)]
    assert probs is None


def test_half_precision_is_widened_first() -> None:
    torch.manual_seed(0)
    half = torch.randn(1, 5, 6, 6).half()
    assert np.array_equal(argmax_label(half, [(23, 17)])[0][0], argmax_label(half.float(), [(23, 17)])[0][0])


def test_more_classes_than_a_byte_holds() -> None:
    logits = torch.zeros(1, 300, 2, 2)
    logits[:, 299] = 1
    ids, _ = argmax_label(logits, [(2, 2)])
    assert ids[0].dtype == np.uint16
    assert (ids[0] == 299).all()


def test_errors() -> None:
    with pytest.raises(SegmentationError, match=r"shape \(2, 3, 4, 4\) and 1 sizes"):
        argmax_label(torch.zeros(2, 3, 4, 4), [(4, 4)])
