"""The multinomial leaf: a block of count columns scored together, with its coefficient and the law of its total."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from begat.core import Region, Stats
from begat.leaves.base import (
    At,
    Block,
    ByColumn,
    Drawn,
    Leaf,
    Mask,
    Moments,
    Observed,
    PerState,
    Scores,
    State,
    Sums,
    Tails,
    Weight,
    spread,
)
from begat.leaves.counts import NegativeBinomial
from begat.leaves.inverse import log_mass_by_tails, sample_by_tails
from begat.leaves.special import join, part
from begat.maths.lattice import Broadcast, Common, Row

Number = Float[Tensor, ""]
TOTALS = 4096
"""Totals up to this one are tallied for the maximum likelihood of their law; larger ones by moments."""


class Multinomial(Leaf):
    """P(x | k) = P(N) N! / prod_d x_d! prod_d theta_kd^x_d with N = sum_d x_d, for one block of D count columns.

    theta_kd = (N_kd + alpha) / (N_k + alpha D), as scikit-learn's MultinomialNB has it; P(N), shared by all states, is
    a NegativeBinomial leaf (or its Poisson limit). Counts are 0, 1, 2, ... without an upper bound. A state without rows
    has the theta of all rows.

    Unknown columns are summed out exactly: thinning keeps the family, so that the known columns, of total probability
    Theta_k, have the total s ~ NegativeBinomial(r, rate Theta_k) and are a multinomial of theta / Theta_k given s.
    One column alone is NegativeBinomial(r, rate theta_kd), which answers regions. In the fit a column that is known
    in fewer rows than another has its counts scaled up to as many, and the total is learnt from complete rows.

    The columns are dependent: `joint` is the probability of the block, log_prob[d] that of column d given the block's
    other known columns, so that joint - log_prob[d] is the probability of the block without d (as for every leaf).
    `complete` draws unknown columns given the known ones.
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
        total = {f"total.{name}": shape for name, shape in self.total.layout().items()}
        return {"log_theta": (self.columns, self.states), **total}

    # learning -----------------------------------------------------------------------------------------------------
    def statistics(self, x: Block, state: State, weight: Weight = None, known: Mask = None) -> Stats:
        """Counts and weights of the columns, (D, K) each, and the statistics of the total."""
        share = spread(state, self.states, weight, torch.float64)
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
        return self.complete(nothing, torch.zeros_like(nothing, dtype=torch.bool), state, generator=generator)

    def complete(self, x: Block, known: Bool[Tensor, "n d"], state: Observed, *, generator: Generator) -> Block:
        """x (n, D) with its unknown cells drawn given the known ones and the state: exact.

        The total is a Poisson of a Gamma rate, and given that rate the columns are independent Poissons; known columns
        of sum s and share Theta turn the Gamma(r) of mean rate into a Gamma(r + s) of mean
        (r + s) rate / (r + rate Theta).
        """
        counts, s, share, _ = self._sums(x, known)
        rate, r = self._law()
        intensity = rate.expand(len(x))
        if not r.isinf():
            theta = share[state.long(), torch.arange(len(x))]
            intensity = torch._standard_gamma(r + s, generator=generator) * rate / (r + rate * theta)
        mean = intensity[:, None] * self.log_theta.exp().T[state.long()]
        return torch.where(known, counts.T, torch.poisson(mean, generator=generator))

    def _column(self, column: int) -> NegativeBinomial:
        """The law of one column alone."""
        alone = NegativeBinomial(1, self.states)
        rate, _ = self._law()
        alone.rate = (rate * self.log_theta[column].exp())[None]
        alone.dispersion = self.total.dispersion.expand(1, self.states)
        return alone

    def tails(self, column: int, x: At) -> Tails:
        """P(X <= x | k) and P(X > x | k) of one column alone -> (K, m) each."""
        return self._column(column).tails(0, x)

    def log_mass(self, column: int, region: Region) -> PerState:
        """Of one column alone; regions of several columns of the block are not independent given k."""
        return log_mass_by_tails(self, column, region)

    def sample_in(self, column: int, region: Region, state: Observed, *, generator: Generator) -> Drawn:
        return sample_by_tails(self, column, region, state, generator)

    def mean(self) -> Moments:
        return self._law()[0] * self.log_theta.exp()
