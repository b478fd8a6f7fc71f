import pytest
import torch

from intarsia.core import SettingsError
from intarsia.encoders import create_encoder, cut_encoder


def test_the_features_that_are_left_are_the_same() -> None:
    torch.manual_seed(0)
    encoder = create_encoder("test_resnet").eval()
    image = torch.rand(1, 3, 33, 47)
    with torch.no_grad():
        whole = encoder(image)
        cut_encoder(encoder, 8)
        part = encoder(image)
    assert (encoder.strides, encoder.channels) == ((2, 4, 8), tuple(feature.shape[1] for feature in whole[:3]))
    assert len(part) == 3
    assert all(torch.equal(a, b) for a, b in zip(part, whole, strict=False))
    assert not any("layer3" in name or "layer4" in name for name in encoder.state_dict())


def test_of_equal_strides_the_first_is_the_end() -> None:
    encoder = create_encoder("test_resnet", output_stride=8)
    cut_encoder(encoder, 8)
    assert encoder.strides == (2, 4, 8)


@pytest.mark.parametrize(("name", "stride"), [("test_resnet", 3), ("mobilenetv3_large_100", 8), ("vgg16", 8)])
def test_encoders_that_cannot_end_there(name: str, stride: int) -> None:
    with pytest.raises(SettingsError, match=f"with strides 2, 4, 8, 16, 32 cannot end at stride {stride}"):
        cut_encoder(create_encoder(name), stride)
