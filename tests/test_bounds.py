"""Stated bounds, and regions of values as evidence: what lies in them."""

from __future__ import annotations

import math

import pytest
import torch

from begat.core import Region
from begat.leaves.base import Leaf
from begat.leaves.calendar import Calendar
from begat.leaves.counts import NegativeBinomial, Poisson
from begat.leaves.gaussian import Gaussian
from begat.leaves.histogram import Histogram
from begat.leaves.kde import KDE
from begat.leaves.lognormal import LogNormal

INF = math.inf
REGIONS = [
    Region(),
    Region(0.0, 3.0),
    Region(-0.5, 2.5),
    Region(1.2, 1.8),
    Region(-INF, -3.0),
    Region(2.0, INF),
    Region(5.0, 1.0),
]
NUMBERS = torch.linspace(-8, 8, 65).double()
BOUNDED = [Calendar, Gaussian, Histogram, KDE, LogNormal, NegativeBinomial, Poisson]


def inside(region: Region, x: torch.Tensor) -> torch.Tensor:
    return (x >= region.lower) & (x <= region.upper)


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_of_whole_numbers_has_all_of_them(region: Region) -> None:
    whole = NUMBERS[NUMBERS.round() == NUMBERS]
    assert torch.equal(inside(region, whole), inside(region.whole(), whole))
    assert all(math.isinf(end) or end == round(end) for end in region.whole()[:2])


@pytest.mark.parametrize("other", REGIONS)
@pytest.mark.parametrize("region", REGIONS)
def test_what_lies_within_two_regions_lies_in_both(region: Region, other: Region) -> None:
    both = region.within(other.lower, other.upper)
    assert torch.equal(inside(both, NUMBERS), inside(region, NUMBERS) & inside(other, NUMBERS))


@pytest.mark.parametrize("leaf", BOUNDED)
def test_every_column_has_its_own_bounds_or_none_has_any(leaf: type[Leaf]) -> None:
    for wrong in ({"lower": (0.0,)}, {"upper": (1.0, 2.0, 3.0)}, {"lower": (0.0,), "upper": (1.0,)}):
        with pytest.raises(ValueError, match="bounds for 2 columns; give each column its own"):
            leaf(2, 1, **wrong)
    made = leaf(2, 1)
    assert not made.bounded and made.stated() == {"lower": (-INF, -INF), "upper": (INF, INF)}
