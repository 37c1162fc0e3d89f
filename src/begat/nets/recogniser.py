"""A small convolutional network that tells the classes of pictures apart, and what it sees before it decides."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor, nn

from begat.core import Batch, Objective
from begat.nets.unet import conv, linear
from begat.random import Noise

MAPS, FEATURES = 32, 64
"""Maps of the first convolution, twice as many of all others; numbers before the decision."""
SMALLEST, LEFT = 8, 4
"""Pictures are halved down to fewer pixels a side than the first of these, and then averaged to so many."""
DROPPED = 0.25
"""The share of the last maps that is left out at each step of a fit."""


class Looks(NamedTuple):
    """Of pictures: height, width, channels, classes; mean and deviation of their pixels."""

    height: int
    width: int
    channels: int
    classes: int
    mean: float
    deviation: float


class Recogniser(nn.Module):
    """Convolutions, at least two, each after the first at half the resolution while that is 8 or more; a layer of 64
    numbers, the features; the logits of the classes. Its one objective is the cross-entropy of classes in cond, nats.

    rng: of its first weights. Pictures move by up to a pixel each way from step to step of a fit.
    """

    def __init__(self, looks: Looks, rng: Generator):
        super().__init__()
        self.looks = looks
        side, halvings = min(looks.height, looks.width), 0
        while side >= SMALLEST:
            side, halvings = side // 2, halvings + 1
        self.halvings = halvings
        wide = [looks.channels, MAPS, *[2 * MAPS] * max(halvings, 1)]
        self.convolutions = nn.ModuleList(conv(inner, outer, rng, by=math.sqrt(2)) for inner, outer in pairwise(wide))
        left = min(LEFT, looks.height) * min(LEFT, looks.width)
        self.see = linear(2 * MAPS * left, FEATURES, rng, by=math.sqrt(2))
        self.decide = linear(FEATURES, looks.classes, rng, by=math.sqrt(2))

    def features(self, pixels: Float[Tensor, "n d"], noise: Noise | None = None) -> Float[Tensor, "n f"]:
        """What the network sees in pictures whose pixels are in a row, as an array has them."""
        looks = self.looks
        x = (pixels.float() - looks.mean) / looks.deviation
        x = x.view(-1, looks.height, looks.width, looks.channels).permute(0, 3, 1, 2)
        if noise is not None:
            x = _moved(x, noise)
        for number, convolution in enumerate(self.convolutions):
            x = F.avg_pool2d(x, 2) if 0 < number <= self.halvings else x
            x = F.relu(convolution(x))
        x = F.adaptive_avg_pool2d(x, (min(LEFT, looks.height), min(LEFT, looks.width))).flatten(1)
        if noise is not None:
            x = x * (noise.uniform(x.shape[1]) >= DROPPED) / (1 - DROPPED)
        return F.relu(self.see(x))

    def forward(self, pixels: Float[Tensor, "n d"], noise: Noise | None = None) -> Float[Tensor, "n k"]:
        """log P(class | picture), nats."""
        return F.log_softmax(self.decide(self.features(pixels, noise)), 1)

    def objectives(self) -> tuple[Objective, ...]:
        """What a fit lowers."""
        return (Objective("recogniser", self, self.loss),)

    def loss(self, batch: Batch, noise: Noise) -> Float[Tensor, " n"]:
        """-log P(class | picture) of each picture, nats."""
        assert batch.cond is not None
        return -self(batch.x[0], noise).gather(1, batch.cond[:, None].long())[:, 0]


def _moved(x: Float[Tensor, "n c h w"], noise: Noise) -> Float[Tensor, "n c h w"]:
    """Pictures that moved by -1, 0 or 1 pixels each way; what comes in repeats the edge."""
    n, _, h, w = x.shape
    by = (3 * noise.uniform(2)).long().clamp(0, 2)
    wide = F.pad(x, (1, 1, 1, 1), mode="replicate")
    rows = by[:, :1] + torch.arange(h)
    columns = by[:, 1:] + torch.arange(w)
    return wide[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
