"""The multinomial leaf: a block of count columns scored together, with its coefficient and the law of its total."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from begat.core import Stats
from begat.leaves.base import (
    At,
    Block,
    ByColumn,
    Leaf,
    Mask,
    Moments,
    Observed,
    PerState,
    Regions,
    Scores,
    State,
    Sums,
    Tails,
    Weight,
    join,
    part,
)
from begat.leaves.counts import NegativeBinomial
from begat.leaves.inverse import ByTails
from begat.leaves.sums import spread
from begat.maths import poisson
from begat.maths.lattice import Broadcast, Common, Row
from begat.maths.log_concave import Tabulated, tabulate

Number = Float[Tensor, ""]
Rows = Bool[Tensor, " n"]
TOTALS = 4096
"""Totals up to this one are tallied for the maximum likelihood of their law; larger ones by moments."""
LARGEST_LOG = 690.0
"""exp of a larger number is none."""


class Multinomial(ByTails, Leaf):
    """P(x | k) = P(N) N! / prod_d x_d! prod_d theta_kd^x_d with N = sum_d x_d, for one block of D count columns.

    theta_kd = (N_kd + alpha) / (N_k + alpha D), as scikit-learn's MultinomialNB has it; P(N), shared by all states, is
    a NegativeBinomial leaf (or its Poisson limit). Counts are 0, 1, 2, ... without an upper bound. A state without rows
    has the theta of all rows.

    Unknown columns are summed out exactly: thinning keeps the family, so that the known columns, of total probability
    Theta_k, have the total s ~ NegativeBinomial(r, rate Theta_k) and are a multinomial of theta / Theta_k given s.
    One column alone is NegativeBinomial(r, rate theta_kd). Regions of several columns are not independent, unless the
    rate of the total is given: P(known, every x_d in R_d) is the integral over the Gamma law of the rate of products of
    Poisson masses, done by quadrature (maths.log_concave) to about nine digits. In the fit a column that is known
    in fewer rows than another has its counts scaled up to as many, and the total is learnt from complete rows.

    The columns are dependent: `joint` is the probability of the block, log_prob[d] that of column d given the block's
    other known columns, so that joint - log_prob[d] is the probability of the block without d (as for every leaf).
    `log_within` and `complete` answer for unknown columns given the known ones.
    """

    grid = True

    def __init__(self, columns: int, states: int, *, alpha: float = 1.0):
        super().__init__()
        self.columns, self.states, self.alpha = columns, states, alpha
        self.total = NegativeBinomial(1, 1, cap=TOTALS)
        self.register_buffer("log_theta", None)

    log_theta: Moments

    def config(self) -> dict[str, Any]:
        return {"columns": self.columns, "states": self.states, "alpha": self.alpha}

    def layout(self) -> dict[str, tuple[int, ...]]:
        return {"log_theta": (self.columns, self.states), **join({"total": self.total.layout()})}

    # learning -----------------------------------------------------------------------------------------------------
    def statistics(self, x: Block, state: State, weight: Weight = None, known: Mask = None) -> Stats:
        """Counts and weights of the columns, (D, K) each, and the statistics of the total."""
        share = spread(state, self.states, weight)
        x = x.double() if known is None else torch.where(known, x.double(), 0.0)
        weight_of = share.sum(1).expand(self.columns, -1).clone() if known is None else (share @ known.double()).T
        complete = None if known is None else known.all(1, keepdim=True)
        every = torch.zeros(len(x), dtype=torch.long)
        total = self.total.statistics(x.sum(1, keepdim=True), every, share.sum(0), complete)
        return {"counts": (share @ x).T, "weight": weight_of, **join({"total": total})}

    def maximise(self, stats: Stats) -> None:
        counts, weight = stats["counts"], stats["weight"]
        # A state without rows takes those of all states.
        counts, weight = (torch.where((weight > 0).any(0), t, t.sum(1, keepdim=True)) for t in (counts, weight))
        scaled = counts * torch.where(weight > 0, weight.amax(0) / weight.clamp(min=1e-300), 0.0)
        smooth = scaled + max(self.alpha, 1e-10)
        self.log_theta = (smooth / smooth.sum(0)).log()
        self.total.maximise(part(stats, "total"))

    # asking -------------------------------------------------------------------------------------------------------
    def _law(self) -> tuple[Number, Number]:
        """Mean and size r of the total; r is infinite for the Poisson."""
        rate, dispersion = self.total.rate[0, 0], self.total.dispersion[0, 0]
        return rate, torch.where(dispersion > 0, 1 / dispersion, torch.inf)

    def _log_total(self, s: Broadcast, share: Broadcast) -> Common:
        """log of P(s) s! / share^s, P(s) the NegativeBinomial(r, rate share): the sum's addend to sum x log theta.

        lgamma(s + r) - lgamma(r) - (s + r) log(1 + rate share / r) + s log(rate / r), at r = infinity the Poisson's
        s log rate - rate share.
        """
        rate, r = self._law()
        if r.isinf():
            return s * rate.log() - rate * share
        return torch.lgamma(s + r) - torch.lgamma(r) + s * (rate / r).log() - (s + r) * torch.log1p(rate * share / r)

    def _sums(self, x: Block, known: Mask) -> tuple[ByColumn, Row, Sums, Row]:
        """Known counts (D, n), their sum (n,), the share Theta of the known columns (K, n), and -inf or 0 (n,)."""
        seen = torch.ones_like(x, dtype=torch.bool) if known is None else known
        impossible = torch.where(((x < 0) & seen).any(1), -torch.inf, 0.0).double()
        counts = torch.where(seen & (x >= 0), x.double(), 0.0).T
        if known is None:
            theta = torch.ones(self.states, len(x), dtype=torch.float64)
        else:
            theta = torch.where(seen.all(1), 1.0, self.log_theta.exp().T @ seen.T.double())
        return counts, counts.sum(0), theta, impossible

    def joint(self, x: Block, known: Mask = None) -> Sums:
        counts, s, share, impossible = self._sums(x, known)
        constant = self._log_total(s, share) - torch.lgamma(counts + 1).sum(0) + impossible
        return constant + self.log_theta.T @ counts

    def log_prob(self, x: Block, known: Mask = None) -> Scores:
        counts, s, share, impossible = self._sums(x, known)
        theta = self.log_theta.exp()[:, :, None]
        without = self._log_total((s - counts)[:, None], (share - theta).clamp(min=0.0))
        alone = counts[:, None] * self.log_theta[:, :, None] - torch.lgamma(counts + 1)[:, None]
        out = self._log_total(s, share) - without + alone + impossible
        return out if known is None else out.masked_fill(~known.T[:, None], 0.0)

    def sample(self, state: Observed, *, generator: Generator) -> Block:
        nothing = torch.zeros(len(state), self.columns, dtype=torch.float64)
        unknown = torch.zeros_like(nothing, dtype=torch.bool)
        return self.complete(nothing, unknown, state, {}, generator=generator)

    def log_within(self, x: Block, known: Mask, regions: Regions) -> Sums:
        """log of the mean of prod_d P(Poisson(rate theta_kd) in R_d) over the law of the rate given what is known."""
        out = torch.zeros(self.states, len(x), dtype=torch.float64)
        for rows, law in self._asked(x, known, regions):
            out[:, rows] = law.log_integral()[:, None]
        return out

    def complete(self, x: Block, known: Mask, state: Observed, regions: Regions, *, generator: Generator) -> Block:
        """x (n, D) with its unknown cells drawn given the known ones, the state and their regions.

        The total is a Poisson of a Gamma rate, and given that rate the columns are independent Poissons, each within
        its region; known columns of sum s and share Theta turn the Gamma(r) of mean rate into a Gamma(r + s) of mean
        (r + s) rate / (r + rate Theta), and regions tilt it.
        """
        if known is None:
            return x
        state = state.long()
        counts, s, share, _ = self._sums(x, known)
        rate, r = self._law()
        intensity = rate.expand(len(x))
        if not r.isinf():
            theta = share[state, torch.arange(len(x))]
            intensity = torch._standard_gamma(r + s, generator=generator) * rate / (r + rate * theta)
            for rows, law in self._asked(x, known, regions):
                intensity[rows] = law.draw(state[rows], generator=generator).clamp(max=LARGEST_LOG).exp()
        mean = intensity[:, None] * self.log_theta.exp().T[state]
        drawn = torch.poisson(mean, generator=generator)
        for column, region in regions.items():
            drawn[:, column] = poisson.draw_between(mean[:, column], *region.whole()[:2], generator=generator)
        return torch.where(known, counts.T, drawn)

    def _asked(self, x: Block, known: Mask, regions: Regions) -> Iterator[tuple[Rows, Tabulated]]:
        """The rows that know the same of the block and lack a column with a region, and the law of their log rate."""
        if known is None or not regions:
            return
        _, s, share, _ = self._sums(x, known)
        lacks = ~known[:, list(regions)]
        alike, which = torch.cat([s[:, None], share.T, lacks], 1).unique(dim=0, return_inverse=True)
        for i, one in enumerate(alike):
            lacking = one[1 + self.states :].tolist()
            here = {d: regions[d].whole()[:2] for d, yes in zip(regions, lacking, strict=True) if yes}
            if here:
                yield which == i, self._tilted(one[0], one[1 : 1 + self.states], here)

    def _tilted(self, s: Number, share: PerState, regions: Mapping[int, tuple[float, float]]) -> Tabulated:
        """The density of log rate given known columns of sum s and share (K,), times the masses of the regions."""
        rate, r = self._law()
        theta = self.log_theta.exp()

        def masses(t: Sums) -> Sums:
            mean = t.clamp(max=LARGEST_LOG).exp()
            return sum((poisson.log_between(theta[d, :, None] * mean, *ends) for d, ends in regions.items()), 0 * t)

        if r.isinf():
            t = rate.log().expand(self.states, 1)
            return Tabulated(t, 0 * t, 0 * t, torch.ones_like(t), masses(t))  # the rate is a number: one node
        shape, inverse = r + s, (r / rate + share)[:, None]

        def log_p(t: Sums) -> Sums:
            gamma = shape * (t + inverse.log()) - inverse * t.clamp(max=LARGEST_LOG).exp() - torch.lgamma(shape)
            return gamma + masses(t)

        # The slope at rate v lies between shape - (inverse + sum theta) v and shape + sum lower - inverse v.
        reach = theta[list(regions)].sum(0)
        low, high = shape / (inverse[:, 0] + reach), (shape + sum(max(a, 0.0) for a, _ in regions.values()))
        return tabulate(log_p, low.log(), (high / inverse[:, 0]).log())

    def _column(self, column: int) -> NegativeBinomial:
        """The law of one column alone."""
        alone = NegativeBinomial(1, self.states)
        rate, _ = self._law()
        alone.rate = (rate * self.log_theta[column].exp())[None]
        alone.dispersion = self.total.dispersion.expand(1, self.states)
        return alone

    def tails(self, column: int, x: At) -> Tails:
        """P(X <= x | k) and P(X > x | k) of one column alone -> (K, m) each; so are log_mass and sample_in."""
        return self._column(column).tails(0, x)

    def mean(self) -> Moments:
        return self._law()[0] * self.log_theta.exp()
