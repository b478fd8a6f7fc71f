import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.segmentation import fcn_resnet50

from intarsia.encoders import create_encoder
from intarsia.models import create_model
from intarsia.models.semantic.fcn_dilated import FCNDilated


@pytest.mark.parametrize(("encoder", "count"), [("resnet50", 35_322_218), ("resnet101", 54_314_346)])
def test_parameters(encoder: str, count: int) -> None:
    """The counts that torchvision states for its weights, of 21 classes with the auxiliary head."""
    with torch.device("meta"):
        network = create_model("fcn_dilated", num_classes=21, encoder=encoder)
    assert sum(p.numel() for p in network.parameters()) == count


def test_scores_are_torchvisions() -> None:
    torch.manual_seed(0)
    reference = fcn_resnet50(weights=None, weights_backbone=None, num_classes=3, aux_loss=True).double().eval()
    network = create_model("fcn_dilated", num_classes=3).double().eval()
    network.load_state_dict(dict(zip(network.state_dict(), reference.state_dict().values(), strict=True)))
    image = torch.rand(1, 3, 33, 47, dtype=torch.float64)
    with torch.no_grad():
        output, expected = network(image), reference(image)
    torch.testing.assert_close(output.logits, expected["out"])
    torch.testing.assert_close(output.auxiliary[0].logits, expected["aux"])


def test_one_convolution_scores_each_pixel_of_the_feature() -> None:
    torch.manual_seed(0)
    network = FCNDilated(encoder=create_encoder("test_resnet", output_stride=8), num_classes=3).eval()
    image = torch.rand(1, 3, 49, 70)
    feature = network.encoder(image)[-1]
    assert feature.shape[-2:] == (7, 9)
    scores = network.head(feature)
    torch.testing.assert_close(network(image).logits, F.interpolate(scores, (49, 70), mode="bilinear", align_corners=False))
    assert network.head[0][0].weight.shape == (feature.shape[1] // 4, feature.shape[1], 3, 3)


def test_heads() -> None:
    options = {"encoder": "test_resnet", "num_classes": 3}
    (head,) = create_model("fcn_dilated", **options).eval()(torch.rand(1, 3, 33, 33)).auxiliary
    assert (head.name, head.target, head.weight, head.logits.shape) == ("auxiliary", "label", 0.5, (1, 3, 33, 33))
    alone = create_model("fcn_dilated", auxiliary=False, dropout=0.3, **options)
    assert alone.eval()(torch.rand(1, 3, 33, 33)).auxiliary == ()
    assert [module.p for module in alone.modules() if isinstance(module, nn.Dropout)] == [0.3]
