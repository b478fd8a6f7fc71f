"""Which mean and deviation a training takes for its images."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from intarsia.data.stats import ImageStatistics
from intarsia.models import create_model
from intarsia.recipes import Stage
from intarsia.training.fit import _preprocessing

LOOK = ImageStatistics(3, (0.2, 0.3, 0.4), (0.1, 0.1, 0.1), ((32, 32),))
BYTES = SimpleNamespace(
    splits={"train": ["a"]}, read=lambda key: SimpleNamespace(image=np.zeros((32, 32, 3), np.uint8))
)  # all that is looked at


@pytest.mark.parametrize(
    ("encoder", "weights", "mean"),
    [
        ("resnet18", "imagenet", (0.485, 0.456, 0.406)),
        ("xception_aligned", "imagenet", (0.5, 0.5, 0.5)),  # the trunk says what it was trained on, not its name
        ("resnet18", "none", (0.2, 0.3, 0.4)),
    ],
)
def test_images_are_brought_to_the_scale_that_trained_weights_know(encoder, weights, mean):
    with torch.device("meta"):
        model = create_model("deeplab_v3plus", num_classes=2, encoder=encoder)
    found = _preprocessing(LOOK, Stage(encoder_weights=weights), model, model.spec, BYTES)
    assert found.mean == pytest.approx(mean)
