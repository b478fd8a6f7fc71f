"""Every network is exported, and gives torch's scores at other sizes than that it was exported with; or it says why not."""

import pytest
import torch
from torch import nn

from intarsia.core import SettingsError
from intarsia.exporting import compare, export_graph
from intarsia.inference.exported import open_exported
from intarsia.inference.sidecar import SUFFIXES
from intarsia.models import INSTANCE, PANOPTIC, SEMANTIC, create_model, network_catalog

QUICK = {
    ("onnx", "linknet"),
    ("torch-export", "segnet_basic"),
    ("torchscript", "unet"),
    ("torchscript", "pspnet"),
    ("torchscript", "icnet"),
    ("torchscript", "deconvnet"),
    ("torchscript", "ternausnet_v2"),
}
DENSE = ("deep_watershed", "metric_learning", "ternausnet_v2")
"""Instance networks whose objects are decoded from maps."""
FROZEN = ("deconvnet", "edeconvnet", "fc_densenet")
"""Networks that pad small images only: a trace holds one of the two ways."""


def ready(name: str) -> nn.Module:
    """With running statistics, and no score that is zero by construction."""
    torch.manual_seed(0)
    task, catalog = network_catalog(name)
    things = {"thing_ids": (2, 3)} if task == "panoptic" else {}
    network = create_model(name, num_classes=4, **things, **catalog.load(name).TINY)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.1)
        if task == "semantic":
            network.train()(torch.rand(4, 3, 64, 64))
    return network.eval()


@pytest.mark.parametrize(
    ("to", "name"),
    [
        pytest.param(to, name, marks=() if (to, name) in QUICK else pytest.mark.slow)
        for to in SUFFIXES
        for name in (*SEMANTIC.names, *DENSE)
    ],
)
def test_an_export_gives_the_scores_of_torch(to, name, tmp_path):
    network, path = ready(name), tmp_path / f"model{SUFFIXES[to]}"
    if to == "torchscript" and name in FROZEN:
        with pytest.raises(SettingsError, match=r"cannot be exported to torchscript: a trace keeps .* wrong for 32 x 33"):
            export_graph(network, path, to)
        return
    exported = open_exported(path, export_graph(network, path, to))
    images = [torch.rand(3, 75, 61), torch.rand(3, 128, 96), torch.rand(3, 48, 58)]
    parity = compare(network, exported, images)
    assert parity.images == 3
    assert parity.label_agreement == parity.map_agreement == 1
    assert 0 <= parity.max_difference < 1e-3


@pytest.mark.parametrize("name", [name for name in (*INSTANCE.names, *PANOPTIC.names) if name not in DENSE])
def test_networks_that_look_into_regions_say_why_not(name, tmp_path):
    with pytest.raises(SettingsError, match=r"proposes regions and looks into each; .* ternausnet_v2"):
        export_graph(ready(name), tmp_path / "model.onnx", "onnx")
    assert not list(tmp_path.iterdir())
