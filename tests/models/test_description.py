import pytest

from intarsia.core import UnknownNameError
from intarsia.models import describe_model


def test_an_own_trunk() -> None:
    about = describe_model("fcn")
    assert about["title"] == "FCN"
    assert about["summary"].startswith("FCN: a classifier made convolutional")
    assert about["citation"].startswith("Long, Shelhamer, Darrell: Fully Convolutional Networks")
    assert about["options"]["padding"] == "reference"
    assert about["options"]["stride"] is None
    assert about["choices"]["stride"] == (32, 16, 8)
    assert "num_classes" not in about["options"]
    assert (about["encoder"], about["output_stride"]) == (None, None)


def test_an_encoder_of_choice() -> None:
    about = describe_model("deeplab_v3plus")
    assert (about["encoder"], about["output_stride"]) == ("resnet50", 16)
    assert about["options"]["separable"] is True
    assert "encoder" not in about["options"]


def test_unknown() -> None:
    with pytest.raises(UnknownNameError, match=r"no network called 'deeplabv3\+'\. Did you mean 'deeplab_v3plus'"):
        describe_model("deeplabv3+")
