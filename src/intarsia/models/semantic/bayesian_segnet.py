"""Bayesian SegNet: SegNet with dropout that stays on, so that many answers to one image say how sure it is.

Kendall, Badrinarayanan, Cipolla: Bayesian SegNet: Model Uncertainty in Deep Convolutional Encoder-Decoder Architectures for Scene
Understanding. BMVC 2017 (arXiv 2015).

Idea: a network with dropout is a sample of a distribution over networks. Asked several times with dropout on, it answers
differently where it has not learnt enough: the mean over the answers is a better prediction than one answer without dropout, and
their variance is large at borders, on rare classes and on what training has never shown.

    image -> 64 64, pool -> 128 128, pool -> 256 x3, pool, drop -> 512 x3, pool, drop -> 512 x3, pool, drop -.
                  | places        |                |                     |                     |             |
       K <- 64, unpool <--- 64 128, unpool <- drop 128 256 256 <--- drop 256 512 512 <--- drop 512 512 512, unpool

    `sample`:  T answers with dropout -> softmax -> mean (N, K, H, W), variance (N, K, H, W)

Source: sections 3 and 4; the six places of dropout (after the three inner levels of encoder and decoder, which the paper's table
1 found best) and its probability 0.5 as in the authors' bayesian_segnet_train.prototxt.
Deviations:
    * As in SegNet, running statistics normalise at inference.
    * `forward` in evaluation has no dropout, so that it is as fast as SegNet; the paper's answer is the mean that `sample`
      returns.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from intarsia.core import SettingsError
from intarsia.models.semantic.segnet import SegNet

__all__ = ["BayesianSegNet"]


class BayesianSegNet(SegNet):
    """SegNet with dropout in its inner half, and answers sampled from it.

    Args:
        num_classes: K.
        in_channels: of the image.
        dropout: probability.
        width: channels of the first stage.
    """

    TINY: ClassVar[dict[str, Any]] = {"width": 8}

    def __init__(self, *, num_classes: int, in_channels: int = 3, dropout: float = 0.5, width: int = 64) -> None:
        super().__init__(num_classes=num_classes, in_channels=in_channels, dropout=dropout, width=width)

    @torch.no_grad()
    def sample(self, image: Tensor, *, samples: int = 40) -> tuple[Tensor, Tensor]:
        """Ask the network several times with dropout on; what comes before the first dropout is computed once.

        Normalisations stay as the network's mode has them, in evaluation by their running statistics. The draws come from torch's
        default generator of the device.

        Args:
            image: (N, C, H, W).
            samples: T, the number of answers. The paper finds that the mean beats the network without dropout from about 6 on,
                and gains nothing beyond 40.

        Returns:
            Mean and variance (divided by T) over the answers' softmax, each (N, K, H, W) float32. The mean over classes of the
            variance is the paper's map of uncertainty.

        Raises:
            SettingsError: less than one sample.
        """
        if samples < 1:
            raise SettingsError(f"The number of samples is {samples}; at least one answer is needed, and 40 are the paper's.")
        was_on = self.dropout.training
        self.dropout.train()
        try:
            x, places = self.shallow(image)
            mean = spread = torch.zeros((), device=image.device)
            for count in range(1, samples + 1):
                prob = self.deep(x, places).softmax(1, dtype=torch.float32)
                difference = prob - mean  # Welford's update: no cancellation, and no answer is kept
                mean = mean + difference / count
                spread = spread + difference * (prob - mean)
        finally:
            self.dropout.train(was_on)
        return mean, spread / samples
