"""torchvision's ImageNet classifiers, into the trunk of a network of ours whose other layers are new.

    resnet18 ... resnet152, resnext50_32x4d, ...    any architecture that takes an encoder
    vgg16                                           those, and architectures with such a trunk of their own (fcn, ...)
    vgg16_bn, alexnet                               architectures with such a trunk of their own (segnet, deconvnet; fcn, ...)

Source: the trunks read torchvision's names themselves (`encoder_weights`); timm's ResNets have the same ones.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from intarsia.core import SettingsError
from intarsia.inference.foreign._foreign import RESNETS, Wishes
from intarsia.models import ModelSpec, describe_model

__all__ = ["TRUNKS", "trunk_network"]

TRUNKS = (*RESNETS, "vgg16", "vgg16_bn", "alexnet")


def trunk_network(name: str, path: Path, wishes: Wishes) -> nn.Module:
    """A network of ours with the classifier's weights in its trunk.

    Raises:
        SettingsError: no architecture or number of classes was said, the architecture cannot take this trunk, or the weights do
            not fit.
    """
    if wishes.model is None or wishes.num_classes is None:
        raise SettingsError(
            f"{name} is a classifier, whose weights go into the trunk of a network: say which by --model, such as "
            "deeplab_v3plus, and its classes by --classes. (`intarsia train --encoder-weights FILE` needs no import.)"
        )
    about = describe_model(wishes.model)
    takes_encoder = about["encoder"] is not None
    if takes_encoder and name in ("vgg16_bn", "alexnet"):
        raise SettingsError(f"{name} of torchvision is no encoder for {wishes.model}; vgg16 and the ResNets are.")
    trunk = {"trunk": "alexnet_torchvision"} if name == "alexnet" and "trunk" in about["options"] else {}
    spec = ModelSpec(
        wishes.model,
        wishes.num_classes,
        encoder=name if takes_encoder else wishes.encoder,
        output_stride=wishes.output_stride,
        options=trunk | dict(wishes.options),
    )
    return spec.build(encoder_weights=str(path)).eval()
