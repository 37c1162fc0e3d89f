"""Pixels as numbers: levels from 0 in rows, and scaled maps of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

Maps = Float[Tensor, "n c h w"]


class Scale(NamedTuple):
    """How pixels become numbers of mean 0 and deviation 1: (level - mean) / deviation, of `levels` levels from 0."""

    mean: float
    deviation: float
    levels: int


class Pixels:
    """Pictures of one shape (height, width[, channels]): rows of levels (n, D), and maps (n, C, H, W)."""

    def __init__(self, picture: tuple[int, ...], scale: Scale):
        self.picture, self.scale = picture, scale
        self.sides = picture if len(picture) == 3 else (*picture, 1)

    def arranged(self, x: Shaped[Tensor, "n d"]) -> Shaped[Tensor, "n c h w"]:
        """Rows of pixels as maps."""
        return x.reshape(len(x), *self.sides).permute(0, 3, 1, 2)

    def maps(self, x: Shaped[Tensor, "n d"]) -> Maps:
        """Levels in rows as scaled maps, float32."""
        return ((self.arranged(x) - self.scale.mean) / self.scale.deviation).float()

    def rows(self, z: Maps) -> Float[Tensor, "n d"]:
        """The nearest levels of scaled maps, in rows, float64."""
        x = (z.double() * self.scale.deviation + self.scale.mean).round().clamp(0, self.scale.levels - 1)
        return x.permute(0, 2, 3, 1).reshape(len(z), -1)

    def spread(self, x: Shaped[Tensor, "n d"], u: Float[Tensor, "n d"]) -> Maps:
        """Levels in rows, with u of [0, 1) between them, as scaled maps: a continuous law whose cells have the masses
        of levels."""
        return self.maps(x.float() + u - 0.5)

    def cells(self) -> Shaped[Tensor, "c h w"]:
        """The number of each pixel in a row, as a map."""
        return self.arranged(torch.arange(self.sides[0] * self.sides[1] * self.sides[2])[None])[0]
