"""Special codes plus a remainder: whatever the atoms leave of the remainder's points, the masses sum to one."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from leaf_cases import STATES, both, fit, rng, small
from torch import Tensor

from begat.core import Region
from begat.leaves.base import Leaf
from begat.leaves.calendar import Calendar
from begat.leaves.categorical import Categorical
from begat.leaves.counts import NegativeBinomial, Poisson
from begat.leaves.gaussian import Gaussian
from begat.leaves.histogram import Histogram
from begat.leaves.kde import KDE
from begat.leaves.lognormal import LogNormal
from begat.leaves.special import Special

POINTS = torch.arange(7.0).double()
BOUNDS = {"lower": both(0.0), "upper": both(6.0)}
REMAINDERS: dict[str, Callable[[], Leaf]] = {
    "gaussian": lambda: Gaussian(2, STATES, grid=True, **BOUNDS),
    "kde": lambda: KDE(2, STATES, grid=True, **BOUNDS),
    "lognormal": lambda: LogNormal(2, STATES, grid=True, **BOUNDS),
    "histogram": lambda: Histogram(2, STATES, grid=True, **BOUNDS),
    "coarse histogram": lambda: Histogram(2, STATES, grid=True, bins=3, **BOUNDS),
    "poisson": lambda: Poisson(2, STATES, upper=both(6.0)),
    "negative binomial": lambda: NegativeBinomial(2, STATES, **BOUNDS),
    "calendar": lambda: Calendar(2, STATES, **BOUNDS),
}
ATOMS = {
    "none": (),
    "one": (2.0,),
    "some": (0.0, 3.0),
    "all but one": (0.0, 1.0, 2.0, 4.0, 5.0, 6.0),
    "all but two": (0.0, 1.0, 2.0, 3.0, 5.0),
    "all": tuple(POINTS.tolist()),
}


def punctured(name: str, atoms: tuple[float, ...], seen: Tensor) -> Special:
    """Two columns, the first with these atoms and a code for missing, fitted to values among the `seen` points."""
    state = torch.randint(STATES, (600,), generator=rng(1))
    values = small(state, rng(2))
    values = torch.where(torch.isin(values, seen), values, seen[0])
    codes = torch.zeros(600, 2, dtype=torch.long)
    for i, atom in enumerate(atoms):
        codes[values[:, 0] == atom, 0] = 1 + i
    codes[::50, 0] = 1 + len(atoms)
    leaf = Special(Categorical(2, STATES, levels=(2 + len(atoms), 1)), REMAINDERS[name](), (atoms, ()))
    fit(leaf, (codes, values.masked_fill(codes != 0, 0.0)), state)
    return leaf


def mass(leaf: Special, codes: Tensor, values: Tensor) -> Tensor:
    """P(code, value | k) of the first column -> (K, m)."""
    pad = (torch.stack([codes, torch.zeros_like(codes)], 1), torch.stack([values, torch.zeros_like(values)], 1))
    known = torch.tensor([True, False]).expand(len(codes), -1)
    return leaf.joint(pad, (known, known)).exp()


@pytest.mark.parametrize("seen", ["all points", "atoms alone"])
@pytest.mark.parametrize("which", ATOMS)
@pytest.mark.parametrize("name", REMAINDERS)
def test_masses_over_points_and_codes_sum_to_one(name: str, which: str, seen: str) -> None:
    atoms = ATOMS[which]
    alone = torch.tensor(atoms or (1.0,), dtype=torch.float64)
    leaf = punctured(name, atoms, POINTS if seen == "all points" else alone)
    free = POINTS[~torch.isin(POINTS, torch.tensor(atoms, dtype=torch.float64))]
    codes = torch.arange(1, 2 + len(atoms))
    written, plain = (
        mass(leaf, codes, torch.zeros(len(codes)).double()),
        mass(leaf, torch.zeros(len(free)).long(), free),
    )
    one = torch.ones(STATES).double()
    torch.testing.assert_close(written.sum(1) + plain.sum(1), one, rtol=0, atol=1e-7)
    torch.testing.assert_close(leaf.log_mass(0, Region()).exp(), one, rtol=0, atol=1e-7)
    no_code = torch.zeros(2 + len(atoms), dtype=torch.bool)
    no_code[0] = True
    for first, last in ((0.0, 2.0), (3.0, 3.0), (-math.inf, 4.0), (5.0, math.inf)):
        inside = (free >= first) & (free <= last)
        got = leaf.log_mass(0, Region(first, last, no_code)).exp()
        torch.testing.assert_close(got, plain[:, inside].sum(1), rtol=1e-6, atol=1e-9)

    state = torch.arange(STATES).repeat(100)
    drawn_codes, drawn = leaf.sample(state, generator=rng(3))
    assert torch.isin(drawn[drawn_codes[:, 0] == 0, 0].double(), free).all()
    if len(free):
        inside = leaf.sample_in(0, Region(0.0, 6.0, no_code), state, generator=rng(4))
        assert (inside[0] == 0).all() and torch.isin(inside[1], free).all()
    else:
        assert (drawn_codes[:, 0] != 0).all()
        assert (leaf.log_mass(0, Region(codes=no_code)) == -math.inf).all()


def test_atoms_of_a_remainder_on_no_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="atoms take mass from a remainder on a grid, and this Gaussian is on none"):
        Special(Categorical(1, 1, levels=(2,)), Gaussian(1, 1), ((0.0,),))
