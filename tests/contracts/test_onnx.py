"""Every network goes into ONNX, where onnxruntime gives torch's scores: at other sizes than the one that it was exported with."""

import warnings

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from intarsia.models import SEMANTIC, create_model

QUICK = ("deeplab_v1", "fcn_dilated", "linknet", "segnet_basic", "unet")
ONE_SIZE = ("icnet", "pspnet")
"""Their grids have a fixed number of cells, whose sizes ONNX must know when it is made."""

EXAMPLE = (75, 61)  # odd, so that what is cut off and what is mirrored is in the graph


class Scores(nn.Module):
    """The scores alone: ONNX has no Output, and its heads have names."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(image).logits
        return logits


def to_onnx(network: nn.Module, *, any_size: bool) -> onnxruntime.InferenceSession:
    sizes = {"image": {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}} if any_size else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own deprecations
        program = torch.onnx.export(
            Scores(network),
            (torch.rand(1, 3, *EXAMPLE),),
            dynamo=True,
            dynamic_shapes=sizes,
            input_names=["image"],
            verbose=False,
        )
    assert program is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


def ready(name: str) -> nn.Module:
    """With running statistics, and no score that is zero by construction."""
    torch.manual_seed(0)
    network = create_model(name, **{"num_classes": 4, **SEMANTIC.load(name).TINY})
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.1)
        network.train()(torch.rand(4, 3, 64, 64))
    return network.eval()


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in SEMANTIC.names])
def test_onnx_gives_the_scores_of_torch(name: str) -> None:
    network = ready(name)
    session = to_onnx(network, any_size=name not in ONE_SIZE)
    for size in (EXAMPLE,) if name in ONE_SIZE else (EXAMPLE, (64, 96), (97, 40), (32, 33)):
        image = torch.rand(1, 3, *size)
        with torch.no_grad():
            expected = network(image).logits
        (found,) = session.run(None, {"image": image.numpy()})
        assert expected.std() > 1e-4
        torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-4)
