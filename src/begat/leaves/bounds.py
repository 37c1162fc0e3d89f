"""Stated bounds of columns: what a leaf of values takes, says of itself and gives no probability beyond."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict

import torch
from jaxtyping import Bool
from torch import Tensor

from begat.core import Region
from begat.leaves.base import Block, Mask, PerColumn


class Stated(TypedDict):
    """The constructor's keywords of the bounds."""

    lower: tuple[float, ...]
    upper: tuple[float, ...]


class Bounded:
    """Part of a leaf of D columns: lower_d <= x_d <= upper_d, infinite where nothing is stated."""

    columns: int
    lower: tuple[float, ...]
    upper: tuple[float, ...]

    def bound(self, lower: Sequence[float] | None, upper: Sequence[float] | None) -> None:
        """Take the bounds as a constructor has them: a number for each column, or nothing for no bound on that side."""
        self.lower = tuple(lower) if lower else (-math.inf,) * self.columns
        self.upper = tuple(upper) if upper else (math.inf,) * self.columns
        if not len(self.lower) == len(self.upper) == self.columns:
            raise ValueError(
                f"{len(self.lower)} lower and {len(self.upper)} upper bounds for {self.columns} columns; "
                "give each column its own"
            )

    @property
    def bounded(self) -> bool:
        """Whether any column has a bound."""
        return any(map(math.isfinite, self.lower + self.upper))

    def stated(self) -> Stated:
        """The bounds for the configuration."""
        return {"lower": self.lower, "upper": self.upper}

    def ends(self) -> tuple[PerColumn, PerColumn]:
        """The lower and the upper bounds, (D,) each."""
        lower, upper = torch.tensor([self.lower, self.upper], dtype=torch.float64).view(2, self.columns)
        return lower, upper

    def outside(self, x: Block, known: Mask = None) -> Bool[Tensor, "n d"]:
        """The known cells beyond the bounds."""
        lower, upper = self.ends()
        beyond = (x < lower) | (x > upper)
        return beyond if known is None else beyond & known

    def allowed(self, column: int, region: Region) -> Region:
        """The part of the region that lies within the bounds of a column."""
        return region.within(self.lower[column], self.upper[column])
