"""What must hold for the family of naive Bayes whatever its leaves: a table of constructors times laws."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from leaf_cases import CASES, ROWS, STATES, Case, fit, on_grid, over, rng
from scipy import stats as reference
from torch import Tensor

from begat.core import Batch, Field, Region, Spec
from begat.errors import EvidenceError
from begat.families.naive_bayes import NaiveBayes
from begat.leaves.base import Leaf
from begat.leaves.categorical import Categorical
from begat.leaves.counts import NegativeBinomial
from begat.leaves.gaussian import Gaussian
from begat.leaves.histogram import Histogram
from begat.leaves.kde import KDE
from begat.leaves.multinomial import Multinomial
from begat.leaves.part import Part
from begat.leaves.special import Special

INF = math.inf
RARE = ("histogram coarse", "calendar of days", "calendar of hours", "calendar bounded")
"""Whole numbers on so wide a grid that no draw meets another often."""
ALARM = 1e-6
"""False-alarm rate of each comparison of draws; there are about 200 with fixed seeds."""


def model(leaf: Leaf, prior: tuple[float, ...] = (0.5, 0.2, 0.3)) -> NaiveBayes:
    """The family with one part."""
    columns = tuple(range(leaf.columns))
    part = Part(leaf, () if leaf.reads == "codes" else columns, () if leaf.reads == "values" else columns)
    spec = Spec((Field((len(part.values),), None), Field((len(part.codes),), None)))
    made = NaiveBayes(spec, [part], leaf.states)
    made.log_prior = torch.tensor(prior, dtype=torch.float64).log()
    return made


def batch(leaf: Leaf, x: Any, known: Tensor | None = None) -> Batch:
    n = len(x[0] if isinstance(x, tuple) else x)
    none = torch.zeros(n, 0)
    values = x[1] if isinstance(x, tuple) else none if leaf.reads == "codes" else x
    codes = x[0] if isinstance(x, tuple) else x if leaf.reads == "codes" else none.int()
    mask = (None if leaf.reads == "codes" else known, None if leaf.reads == "values" else known)
    return Batch((values, codes), mask)


def fitted(case: Case) -> tuple[NaiveBayes, Leaf, Any]:
    leaf = case.fitted()
    return model(leaf), leaf, case.rows(200, seed=5)[0]


# law 13: every conditional is a ratio of joints -----------------------------------------------------------------------
@over
def test_surprise_is_a_ratio_of_joints(name: str) -> None:
    family, leaf, x = fitted(CASES[name])
    whole = family.log_prob(batch(leaf, x))
    ((_, odd),) = family.surprise(batch(leaf, x))
    for d in range(leaf.columns):
        known = torch.ones(len(whole), leaf.columns, dtype=torch.bool)
        known[:, d] = False
        torch.testing.assert_close(odd[d], family.log_prob(batch(leaf, x, known)) - whole, rtol=1e-9, atol=1e-9)


def parts_of(leaf: Leaf, drawn: Batch, d: int) -> tuple[Tensor, Tensor]:
    """Code (0 where there is none) and value (0 where there is none) of a column."""
    values, codes = drawn.x
    none = torch.zeros(len(drawn)).double()
    return (codes[:, d].double() if codes.shape[1] else none), (values[:, d] if values.shape[1] else none)


def evidence(leaf: Leaf, rows: Batch, d: int) -> Region:
    """A region that holds the upper part of a column, and one special code or all levels but one."""
    code, value = parts_of(leaf, rows, d)
    if leaf.reads == "codes":
        return Region(codes=torch.arange(leaf.levels[d]) != 0)  # type: ignore[attr-defined]
    here = value[code == 0].numpy()
    low, high = np.quantile(here, [0.5, 0.97], method="closest_observation")
    codes = torch.tensor([True, False, True]) if leaf.reads == "both" else None
    return Region(float(low), float(high) if d else INF, codes)


def inside(leaf: Leaf, rows: Batch, d: int, region: Region) -> Tensor:
    code, value = parts_of(leaf, rows, d)
    within = (value >= region.lower) & (value <= region.upper) | (code != 0)
    return within if region.codes is None else within & region.codes[code.long()]


def same_law(a: Tensor, b: Tensor) -> None:
    """A two-sample chi-square test over at most eight cells cut at the quantiles of both."""
    both = torch.cat([a, b]).double().numpy()
    cuts = np.unique(np.quantile(both, np.linspace(0, 1, 9)[1:-1], method="closest_observation"))
    table = np.stack([np.bincount(np.searchsorted(cuts, t.numpy()), minlength=len(cuts) + 1) for t in (a, b)])
    table = table[:, table.sum(0) > 0]
    if table.shape[1] > 1:
        assert reference.chi2_contingency(table).pvalue > ALARM


@over
@pytest.mark.parametrize("asked", ["both columns", "one column, the other known"])
def test_evidence_is_rejection_from_the_joint(name: str, asked: str) -> None:
    """Draws given regions have the law of those draws of the joint that lie in them: class, both columns, their sum."""
    family, leaf, _ = fitted(CASES[name])
    rows = family.sample(60_000, generator=rng(1))
    regions = {0: evidence(leaf, rows, 0), 1: evidence(leaf, rows, 1)}
    n = 4000
    filler = tuple(torch.zeros(n, t.shape[1], dtype=t.dtype) for t in rows.x)
    known = torch.zeros(n, 2, dtype=torch.bool)
    if asked != "both columns" and (name in RARE or not (on_grid(leaf) or leaf.reads == "codes")):
        pytest.skip("no draw meets a number again, or hardly one does")
    if asked == "both columns":
        accepted = inside(leaf, rows, 0, regions[0]) & inside(leaf, rows, 1, regions[1])
    else:
        code, value = parts_of(leaf, rows, 1)
        which = torch.unique(value + 1e9 * code, return_inverse=True)[1]
        at = int((which == which.mode().values).nonzero()[0, 0])
        for cells, source in zip(filler, rows.x, strict=True):
            if cells.shape[1]:
                cells[:, 1] = source[at, 1]
        known[:, 1] = True
        accepted = inside(leaf, rows, 0, regions[0]) & (code == code[at]) & (value == value[at])
        regions.pop(1)
    kept = rows.rows(accepted)
    assert len(kept) > 100
    asked_of = Batch(filler, tuple(known if t.shape[1] else None for t in filler))
    got = family.impute(asked_of, {(0, d): r for d, r in regions.items()}, generator=rng(2))
    for d, region in regions.items():
        assert inside(leaf, got, d, region).all()
    same_law(got.cond, kept.cond)
    scored = [[parts_of(leaf, drawn, d)[bool(leaf.reads != "codes")] for d in (0, 1)] for drawn in (got, kept)]
    size = [scale_of(c) for c in scored[1]]
    for of in (lambda a, _: a, lambda _, b: b, lambda a, b: a / size[0] + b / size[1]):
        same_law(of(*scored[0]), of(*scored[1]))


def scale_of(x: Tensor) -> float:
    return 2.0 ** round(math.log2(float(x.abs().median()) + 1.0))


@pytest.mark.parametrize("dispersion", [0.0, 0.05, 1.0, 30.0])
@pytest.mark.parametrize("known", [(), (1,), (1, 2)])
def test_evidence_on_a_block_is_a_sum_over_its_table(dispersion: float, known: tuple[int, ...]) -> None:
    """P(x_d in R_d for all d, known cells) is the sum of the block's probabilities over those cells."""
    g = rng(3)
    state = torch.randint(2, (400,), generator=g)
    rate = torch.tensor([[1.0, 2.0, 0.5], [2.0, 0.3, 1.0]]).double()[state]
    leaf = fit(Multinomial(3, 2), torch.poisson(rate, generator=g), state)
    assert isinstance(leaf, Multinomial)
    leaf.total.dispersion = torch.full((1, 1), dispersion, dtype=torch.float64)
    top = 60
    allowed = {0: range(2, 6), 1: range(1, 2), 2: range(0, 4)}
    regions = {0: Region(1.5, 5.9), 1: Region(1.0, 1.0), 2: Region(-INF, 3.0)}
    row = torch.tensor([[0.0, 1.0, 2.0]]).double()
    mask = torch.tensor([[d in known for d in range(3)]])
    for d in known:
        allowed[d] = range(int(row[0, d]), int(row[0, d]) + 1)
    for asked in ((0,), (0, 2), (0, 1, 2)):
        spans = [allowed[d] if d in asked or d in known else range(top) for d in range(3)]
        cells = torch.tensor(list(itertools.product(*spans))).double()
        want = torch.logsumexp(leaf.joint(cells), 1)
        within = leaf.log_within(row, mask, {d: regions[d] for d in asked})
        torch.testing.assert_close((leaf.joint(row, mask) + within)[:, 0].exp(), want.exp(), rtol=1e-7, atol=1e-5)
        if dispersion < 1:  # 60 counts hold the whole law
            torch.testing.assert_close((leaf.joint(row, mask) + within)[:, 0], want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("lower", [0.0, 3.0, 200.0])
def test_one_column_of_a_block_alone_is_its_marginal(lower: float) -> None:
    leaf = CASES["multinomial"].fitted()
    nothing = torch.zeros(1, 2, dtype=torch.bool)
    for region in (Region(lower, INF), Region(-INF, lower), Region(lower, lower + 5)):
        alone = leaf.log_mass(0, region)
        torch.testing.assert_close(
            leaf.log_within(nothing.double(), nothing, {0: region})[:, 0], alone, rtol=1e-8, atol=1e-12
        )


def test_impossible_regions_are_an_error() -> None:
    family, leaf, x = fitted(CASES["multinomial"])
    nothing = batch(leaf, x, torch.zeros(len(x), 2, dtype=torch.bool))
    for region in (Region(3.2, 3.8), Region(-5.0, -1.0)):
        with pytest.raises(EvidenceError, match="no probability"):
            family.impute(nothing, {(0, 0): region}, generator=rng())


# zeros ---------------------------------------------------------------------------------------------------------------
def test_surprise_where_classes_are_impossible() -> None:
    """alpha = 0: every answer against the table of the joint; none is NaN."""
    g = rng(4)
    y = torch.randint(3, (40,), generator=g)
    x = (torch.rand(40, 3, generator=g) * 3 * (0.4 + 0.3 * y[:, None])).long().clamp(max=3)
    leaf = fit(Categorical(3, 3, levels=(4, 4, 4), alpha=0.0), x, y)
    family = model(leaf)
    every = torch.tensor(list(itertools.product(range(4), repeat=3)))
    p = family.joint(batch(leaf, every)).exp().reshape(3, 4, 4, 4)
    assert (p.sum(0) == 0).any() and (p.sum(0) > 0).any()
    ((_, odd),) = family.surprise(batch(leaf, every))
    assert not odd.isnan().any()
    whole = p.sum(0)
    zeros = 0
    for d in range(3):
        others = whole.sum(d, keepdim=True).expand_as(whole)
        possible = (others > 0).reshape(-1)
        want = (others.log() - whole.log()).reshape(-1)[possible]
        torch.testing.assert_close(odd[d][possible], want, rtol=1e-9, atol=1e-9)
        zeros += int((p == 0).any(0).reshape(-1)[possible].sum())
        # Others that no class can produce say nothing of the class.
        alone = (family.log_prior.exp()[None] @ leaf.table(d).exp().T)[0].log()  # type: ignore[attr-defined]
        torch.testing.assert_close(odd[d][~possible], -alone[every[:, d]][~possible], rtol=1e-9, atol=1e-9)
    assert zeros > 50


def test_surprise_of_a_number_outside_one_of_two_columns_bounds() -> None:
    family, leaf, _ = fitted(CASES["gaussian bounded"])
    x = torch.tensor([[-1.0, 5.0]]).double()
    ((_, odd),) = family.surprise(batch(leaf, x))
    assert odd[0, 0] == INF
    alone = leaf.log_prob(x)[1, :, 0] + family.log_prior
    torch.testing.assert_close(odd[1, 0], -torch.logsumexp(alone, 0))


# the prior -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("counts", [(5, 15, 20), (5, 0, 15), (0, 0, 7), (0.25, 0.0, 0.5)])
def test_a_class_without_rows_moves_the_others_together(counts: tuple[float, ...]) -> None:
    leaf = CASES["categorical"].make(STATES)
    family = model(leaf)
    n, empty = torch.tensor(counts, dtype=torch.float64), counts.count(0)
    family.maximise([{"classes": n}, leaf.statistics(*CASES["categorical"].rows())])
    p = family.log_prior.exp()
    torch.testing.assert_close(p[n > 0], n[n > 0] / (n.sum() + empty))
    torch.testing.assert_close(p[n == 0], torch.full((empty,), 1 / (float(n.sum()) + empty)).double())


# special codes -------------------------------------------------------------------------------------------------------
ATOMS = {
    "negative binomial": (NegativeBinomial, {"lower": (0.0, 0.0)}, "poisson", ((0.0, 3.0), (1.0,))),
    "gaussian": (Gaussian, {"grid": True}, "gaussian grid", ((0.0, 3.0), (50.0,))),
    "histogram": (Histogram, {"grid": True, "bins": 8}, "histogram grid", ((0.0, 3.0), ())),
    "kde": (KDE, {"grid": True}, "kde grid", ((0.0, 3.0), (50.0,))),
}


@pytest.mark.parametrize("name", ATOMS)
def test_the_mean_of_a_remainder_is_that_of_what_atoms_leave(name: str) -> None:
    make, how, like, atoms = ATOMS[name]
    values, state = CASES[like].rows()
    codes = torch.zeros(ROWS, 2, dtype=torch.long)
    for d, each in enumerate(atoms):
        for i, atom in enumerate(each):
            codes[values[:, d] == atom, d] = 1 + i
    leaf = Special(Categorical(2, STATES, levels=(3, 3)), make(2, STATES, **how), atoms)
    fit(leaf, (codes, values), state)
    far = 20_000 if name == "histogram" else 2000  # its mean's share beyond falls as the square
    x = torch.arange(0.0 if "lower" in how else -far, far + 1.0).double()
    for d, each in enumerate(atoms):
        left = x[~torch.isin(x, torch.tensor(each, dtype=torch.float64))]
        both = left[:, None].expand(-1, 2)
        zero = torch.zeros(len(left), 2, dtype=torch.long)
        p = (leaf.log_prob((zero, both))[d] - leaf.codes.table(d)[0][:, None]).exp()
        torch.testing.assert_close(p.sum(1), torch.ones(STATES).double(), rtol=0, atol=1e-6)
        torch.testing.assert_close(leaf.mean()[d], p @ left, rtol=1e-4, atol=1e-4)


# copies --------------------------------------------------------------------------------------------------------------
@over
def test_copies_are_right_and_small(name: str) -> None:
    leaf = CASES[name].fitted()
    x, _ = CASES[name].rows(50, seed=6)
    family = model(leaf)
    for made in (copy.deepcopy(family), pickle.loads(pickle.dumps(family))):
        assert torch.equal(made.joint(batch(leaf, x)), family.joint(batch(leaf, x)))
    tensors = sum(t.numel() * t.element_size() for t in leaf.state_dict().values())
    assert len(pickle.dumps(family)) < 2 * tensors + 30_000


def test_questions_leave_no_trace() -> None:
    """A leaf holds what its fit made and nothing that a question adds."""
    for name in ("kde", "special kde"):
        leaf = CASES[name].fitted()
        before = {key: id(value) for key, value in vars(leaf).items()}
        x, _ = CASES[name].rows(50, seed=6)
        leaf.joint(x)
        leaf.log_mass(0, Region(0.0, 1.0))
        leaf.mean()
        assert {key: id(value) for key, value in vars(leaf).items()} == before
