import pytest
import torch
from torchvision.ops import FeaturePyramidNetwork

from intarsia.core import SettingsError
from intarsia.models.parts.mask_detector import DetectionFPN, MaskDetector

STRIDES = (4, 8, 16, 32)


def test_pyramid_and_every_second_pixel_of_its_top() -> None:
    torch.manual_seed(0)
    pyramid = DetectionFPN((3, 5), 4)
    features = [torch.randn(1, 3, 8, 12), torch.randn(1, 5, 4, 6)]
    fine, coarse, top = pyramid(features)
    plain = FeaturePyramidNetwork([3, 5], 4)
    plain.load_state_dict(pyramid.state_dict())
    theirs = plain({"a": features[0], "b": features[1]})
    torch.testing.assert_close((fine, coarse), (theirs["a"], theirs["b"]))
    torch.testing.assert_close(top, coarse[..., ::2, ::2])


def test_parameters_of_the_heads_by_hand() -> None:
    with torch.device("meta"):
        detector = MaskDetector(channels=256, strides=STRIDES, num_things=80)

    def count(part: str) -> int:
        return sum(p.numel() for p in detector.get_submodule(part).parameters())

    assert count("rpn") == 256 * 256 * 9 + 256 + 257 * 3 + 257 * 12
    assert count("roi_heads.box_head") == 256 * 49 * 1024 + 1024 + 1025 * 1024
    assert count("roi_heads.box_predictor") == 1025 * 81 * 5
    assert count("roi_heads.mask_head") == 4 * (256 * 256 * 9 + 256)
    assert count("roi_heads.mask_predictor") == 256 * 256 * 4 + 256 + 257 * 81


def test_last_layers_begin_near_zero() -> None:
    torch.manual_seed(0)
    heads = MaskDetector(channels=8, strides=STRIDES, num_things=80, mask_channels=32, head_channels=64).roi_heads
    for layer, std in (
        (heads.box_predictor.cls_score, 0.01),
        (heads.box_predictor.bbox_pred, 0.001),
        (heads.mask_predictor.mask_fcn_logits, 0.001),
    ):
        assert layer.weight.std().item() == pytest.approx(std, rel=0.05)
        assert not layer.bias.any()


def test_anchor_sizes_for_each_map() -> None:
    with pytest.raises(SettingsError, match=r"3 sizes of anchors, 8, 16, 32, .* 5 maps, of strides 4, 8, 16, 32 and 64"):
        MaskDetector(channels=8, strides=STRIDES, num_things=1, anchor_sizes=(8, 16, 32))
