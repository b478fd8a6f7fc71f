import subprocess
import sys

import pytest

from intarsia.core import UnknownNameError
from intarsia.encoders import ENCODERS, create_encoder
from intarsia.encoders.timm import TimmEncoder
from intarsia.encoders.vgg16 import VGG16


def test_files_of_the_folder_and_timm_names() -> None:
    assert {"timm", "vgg16"} <= set(ENCODERS.names)
    assert isinstance(create_encoder("vgg16"), VGG16)  # ours, though timm has one of that name
    encoder = create_encoder("test_resnet", in_channels=5, output_stride=8)
    assert isinstance(encoder, TimmEncoder)
    assert encoder.strides[-1] == 8
    assert encoder.weights_note == "random initialisation"
    with pytest.raises(UnknownNameError, match="no encoder called 'timm'"):
        create_encoder("timm")


def test_listing_does_without_torch() -> None:
    code = "import sys, intarsia.encoders as e; e.ENCODERS.names; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_attribute() -> None:
    import intarsia.encoders

    with pytest.raises(AttributeError, match="no attribute 'encode'"):
        intarsia.encoders.encode  # noqa: B018
