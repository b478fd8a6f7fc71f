"""Recurrent CNN: a small network reads the image and its own first answer, again and again, each time seeing further.

Pinheiro, Collobert: Recurrent Convolutional Neural Networks for Scene Labeling. ICML 2014.

Idea: to see far, a network needs many weights, or the same ones again. Here one network of three convolutions gets the image and
the map of labels of its previous run (zeros in the first), at the resolution of that map. Each run multiplies the field of view,
and corrects what the one before got wrong, without one more weight.

    [0 | image] -> f -> labels 1 -> [labels 1 | image] -> f -> labels 2 -> [labels 2 | image] -> f -> (N, K, H, W)
                        stride 2                               4                                 8, run at every pixel

    f of cnn3: 8x8, 25 -> pool 2, tanh -> 8x8, 50 -> 1x1, K
         cnn2: 8x8, 25 -> pool 2, tanh -> 8x8, 50 -> pool 2, tanh -> 1x1, K
         cnn1: 6x6, 25 -> pool 8, tanh -> 3x3, 50 -> pool 2, tanh -> 7x7, K      (once, on the image alone)

Source: sections 3 and 4: layers, windows of 133 (CNN1), 25 and 121 (CNN2, once and twice), 23, 67 and 155 pixels (CNN3, once to
three times), the sum of the losses of all runs.
Deviations:
    * The paper shifts the image by every pixel of the stride and interleaves the answers. The same numbers come from poolings
      that keep every place while all that follows steps over the places between, in one pass.
    * "Labels" that are fed back are a softmax; the paper's formula passes on what f gives (`feed="scores"`).
    * Where the paper pads the image, it is mirrored.
    * Training is on whole images, not on one window at a time.
"""

from __future__ import annotations

import itertools
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Auxiliary, Output, SettingsError
from intarsia.ops.reflect import crop, reflect_border

__all__ = ["RecurrentCNN"]


class _Layer(NamedTuple):
    """A convolution of `kernel`, then max pooling of `pool`, then tanh."""

    kernel: int
    pool: int = 1
    tanh: bool = False


NETWORKS = {
    "cnn1": (_Layer(6, 8, True), _Layer(3, 2, True), _Layer(7)),
    "cnn2": (_Layer(8, 2, True), _Layer(8, 2, True), _Layer(1)),
    "cnn3": (_Layer(8, 2, True), _Layer(8), _Layer(1)),
}
RUNS = {"cnn1": 1, "cnn2": 2, "cnn3": 3}


class RecurrentCNN(nn.Module):
    """rCNN2 (`network="cnn2"`), rCNN3, or the plain CNN1.

    Args:
        num_classes: K.
        in_channels: of the image.
        network: "cnn3", "cnn2" or "cnn1".
        runs: how often the network runs. None is as often as in the paper: three times, twice or once.
        feed: what the next run gets: the "softmax" or the "scores" themselves.
        losses: "all" has a head of weight 1 on every run, "last" only the last.
        maps: of the first two convolutions.

    Raises:
        SettingsError: CNN1, which does not read labels, more than once.
    """

    TINY: ClassVar[dict[str, Any]] = {"maps": (4, 8), "losses": "last"}

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        network: Literal["cnn3", "cnn2", "cnn1"] = "cnn3",
        runs: int | None = None,
        feed: Literal["softmax", "scores"] = "softmax",
        losses: Literal["all", "last"] = "all",
        maps: tuple[int, ...] = (25, 50),
    ) -> None:
        super().__init__()
        self.runs = runs or RUNS[network]
        recurrent = network != "cnn1"
        if self.runs > 1 and not recurrent:
            raise SettingsError(f"CNN1 reads no labels and runs once; {runs} runs were asked for. CNN2 and CNN3 can run again.")
        self.feed = feed
        self.losses = losses
        self.layers = NETWORKS[network]
        channels = (in_channels + num_classes * recurrent, *maps, num_classes)
        pairs = zip(itertools.pairwise(channels), self.layers, strict=True)
        self.convs = nn.ModuleList(_Conv(*pair, layer.kernel) for pair, layer in pairs)
        self.stride, self.reach = _geometry(self.layers)

    def forward(self, image: Tensor) -> Output:
        size = image.shape[-2:]
        reaches = [self.reach * self.stride**run for run in range(self.runs)]
        border = sum(reaches)
        image = reflect_border(image, top=border, bottom=border, left=border, right=border)
        answers: list[Tensor] = []
        seen = image  # the first run's labels are zero
        for run, reach in enumerate(reaches):
            score = self._run(seen, self.stride**run)
            border -= reach
            image = crop(image, score.shape[-2:], reach)
            seen = torch.cat([score.softmax(1) if self.feed == "softmax" else score, image], dim=1)
            answers.append(crop(score, size, border))  # (N, K, H, W)
        *before, last = answers
        heads = [Auxiliary(f"run{run}", score, "label", 1.0) for run, score in enumerate(before, 1)]
        return Output(last, tuple(heads) if self.losses == "all" else ())

    def _run(self, x: Tensor, step: int) -> Tensor:
        """The network on a map of which one in `step` pixels belongs to a window, for all windows at once."""
        for conv, layer in zip(self.convs, self.layers, strict=True):
            x = conv(x, step)
            if layer.pool > 1:
                x = F.max_pool2d(x, layer.pool, stride=1, dilation=step)
                step *= layer.pool
            x = x.tanh() if layer.tanh else x
        return x


class _Conv(nn.Conv2d):
    """A convolution of any dilation. Channels that come first, the labels, may be left out where they are zero."""

    def forward(self, input: Tensor, dilation: int = 1) -> Tensor:  # noqa: A002
        return F.conv2d(input, self.weight[:, -input.shape[1] :], self.bias, dilation=dilation)


def _geometry(layers: tuple[_Layer, ...]) -> tuple[int, int]:
    """Stride of the network, and how many pixels its window holds on each side of the middle one."""
    stride, window = 1, 1
    for layer in layers:
        window += (layer.kernel - 1 + layer.pool - 1) * stride
        stride *= layer.pool
    return stride, window // 2
