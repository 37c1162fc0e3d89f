"""Leaves of counts: the Poisson, one matrix product, and the negative binomial for counts that vary more."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Generator

from begat.core import Region, Stats
from begat.leaves import lookup
from begat.leaves.base import (
    At,
    Block,
    ByColumn,
    Leaf,
    Mask,
    MaskByColumn,
    Moments,
    Observed,
    PerColumn,
    Scores,
    State,
    Sums,
    Tails,
    Weight,
)
from begat.leaves.bounds import Bounded
from begat.leaves.categorical import Categorical
from begat.leaves.inverse import ByTails
from begat.leaves.sums import spread
from begat.maths import negative_binomial

CAP = 512
"""Counts up to this one are tallied one by one for the negative binomial's maximum likelihood."""


class _Counts(Bounded, ByTails, Leaf):
    """What both laws share: support k = x - lower = 0, 1, 2, ... (lower 0 unless stated), cut by a stated upper."""

    grid = True

    def __init__(
        self,
        columns: int,
        states: int,
        *,
        lower: tuple[float, ...] | None = None,
        upper: tuple[float, ...] | None = None,
        alpha: float = 1.0,
    ):
        super().__init__()
        self.columns, self.states, self.alpha = columns, states, alpha
        self.bound(lower, upper)
        first = torch.tensor([v if math.isfinite(v) else 0.0 for v in self.lower], dtype=torch.float64)
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("last", self.ends()[1] - first, persistent=False)
        self.register_buffer("rate", None)

    first: PerColumn
    last: PerColumn
    rate: Moments

    def _count(self, x: Block, known: Mask) -> tuple[ByColumn, MaskByColumn]:
        """k = x - lower -> (D, n) with 0 where it is unknown or outside, and the known cells that are outside."""
        k = x.T.double() - self.first[:, None]
        outside = (k < 0) | (k > self.last[:, None])
        if known is not None:
            k, outside = torch.where(known.T, k, 0.0), outside & known.T
        return (k.masked_fill(outside, 0.0), outside) if outside.any() else (k, None)

    def sample(self, state: Observed, *, generator: Generator) -> Block:
        state = state.long()
        drawn = self.first + self._draw(state, generator)
        for d in (self.last.isfinite()).nonzero()[:, 0].tolist():
            drawn[:, d] = self.sample_in(d, Region(), state, generator=generator)
        return drawn

    @abstractmethod
    def _draw(self, state: Observed, generator: Generator) -> Block:
        """k for each state, (n, D), ignoring upper bounds."""

    @abstractmethod
    def _cdf(self, column: int, k: At) -> Tails:
        """P(K <= k) and P(K > k) -> (K, m) each for whole k >= 0, ignoring the upper bound."""

    def tails(self, column: int, x: At) -> Tails:
        """P(X <= x | k) and P(X > x | k) -> (K, m) each."""
        last = self.last[column]
        k = torch.minimum(x.double().floor() - self.first[column], last)
        below, above = self._cdf(column, k.clamp(min=0.0))
        if last.isfinite():
            within, beyond = self._cdf(column, last[None])
            below, above = below / within, (above - beyond).clamp(min=0.0) / within
        return torch.where(k < 0, 0.0, below), torch.where(k < 0, 1.0, above)

    def log_normaliser(self) -> Moments:
        """log P(K <= upper | k) -> (D, K): what the stated upper bounds leave of each law."""
        out = torch.zeros(self.columns, self.states, dtype=torch.float64)
        for d in self.last.isfinite().nonzero()[:, 0].tolist():
            out[d] = self._cdf(d, self.last[d, None])[0][:, 0].log()
        return out

    def _seen(self, x: Block, state: State, weight: Weight, known: Mask) -> tuple[Sums, Block, Mask]:
        """The rows' weights under each state (K, n), k (n, D), and the cells that count: known and within bounds."""
        k, outside = self._count(x, known)
        if outside is not None:
            known = ~outside.T if known is None else known & ~outside.T
        return spread(state, self.states, weight), k.T, known

    @staticmethod
    def _weight(share: Sums, seen: Mask, columns: int) -> Moments:
        """The weight of each column's cells under each state, (D, K)."""
        return share.sum(1).expand(columns, -1).clone() if seen is None else (share @ seen.double()).T

    def _smoothed_rate(self, weight: Moments, total: Moments) -> Moments:
        """(sum k + alpha m) / (N_k + alpha), with m = (sum k + 1/2) / (N + 1) over all states: never 0."""
        pooled = (total.sum(1, keepdim=True) + 0.5) / (weight.sum(1, keepdim=True) + 1)
        pull = max(self.alpha, 1e-10)
        return (total + pull * pooled) / (weight + pull)


class Poisson(_Counts):
    """P(x | k) = rate^j exp(-rate) / j!, j = x - lower, for D columns and K states: one matrix product.

    rate_k = (sum j + alpha m) / (N_k + alpha), where m = (sum over all states + 1/2) / (N + 1): maximum likelihood
    after alpha pseudo-rows of the pooled mean. A state without rows has the pooled rate. A stated upper bound cuts and
    renormalises the law and leaves the rate as it is, which is maximum likelihood only where it cuts little. Rows
    outside the bounds have probability 0 and count nowhere.
    """

    def config(self) -> dict[str, Any]:
        return {
            "columns": self.columns, "states": self.states, **self.stated(), "alpha": self.alpha,
        }  # fmt: skip

    def layout(self) -> dict[str, tuple[int, ...]]:
        return {"rate": (self.columns, self.states)}

    def statistics(self, x: Block, state: State, weight: Weight = None, known: Mask = None) -> Stats:
        """Weight and sum of counts, each (D, K)."""
        share, k, seen = self._seen(x, state, weight, known)
        return {"weight": self._weight(share, seen, self.columns), "total": (share @ k).T}

    def maximise(self, stats: Stats) -> None:
        self.rate = self._smoothed_rate(stats["weight"], stats["total"])

    def log_prob(self, x: Block, known: Mask = None) -> Scores:
        k, outside = self._count(x, known)
        rate = self.rate[:, :, None]
        out = k[:, None] * rate.log() - rate - torch.lgamma(k + 1)[:, None] - self.log_normaliser()[:, :, None]
        out = out if known is None else out.masked_fill(~known.T[:, None], 0.0)
        return out if outside is None else out.masked_fill(outside[:, None], -torch.inf)

    def joint(self, x: Block, known: Mask = None) -> Sums:
        k, outside = self._count(x, known)
        constant = -(self.rate + self.log_normaliser()).T
        constant = constant.sum(1, keepdim=True) if known is None else constant @ known.T.double()
        out = torch.addmm(constant - torch.lgamma(k + 1).sum(0), self.rate.log().T, k)
        return out if outside is None else out.masked_fill(outside.any(0), -torch.inf)

    def _draw(self, state: Observed, generator: Generator) -> Block:
        return torch.poisson(self.rate[:, state].T.contiguous(), generator=generator)

    def _cdf(self, column: int, k: At) -> Tails:
        rate = self.rate[column, :, None].expand(-1, len(k))
        after = (k + 1).expand_as(rate)
        return torch.special.gammaincc(after, rate), torch.special.gammainc(after, rate)

    def mean(self) -> Moments:
        """E[x | k] = lower + rate P(K <= upper - 1) / P(K <= upper)."""
        out = self.rate.clone()
        for d in self.last.isfinite().nonzero()[:, 0].tolist():
            below = self._cdf(d, torch.stack([self.last[d] - 1, self.last[d]]).clamp(min=0.0))[0]
            out[d] *= below[:, 0] / below[:, 1] if self.last[d] > 0 else 0.0
        return self.first[:, None] + out


class NegativeBinomial(_Counts):
    """P(x | k) = Gamma(j + r) / (Gamma(r) j!) (r / (r + rate))^r (rate / (r + rate))^j, j = x - lower; mean rate.

    The variance is rate + rate^2 / r. The rate is estimated as the Poisson leaf's, which is maximum likelihood whatever
    r is. r follows by Newton's method, bracketed, from the profile likelihood

        sum_i T_i / (r + i) = N log(1 + rate / r),   T_i the weight of the rows with j > i,

    over the tally of counts up to `cap`, to which alpha pseudo-rows spread as the pooled column are added; a column
    with a count above `cap` takes r by moments, mean^2 / (variance - mean) of the same rows. Counts that vary no more
    than a Poisson's have no finite r: dispersion = 1 / r is then 0 and the law the Poisson, its limit. Statistics add.

    Counts are looked up in a table where the batch is longer than their range.
    """

    def __init__(
        self,
        columns: int,
        states: int,
        *,
        lower: tuple[float, ...] | None = None,
        upper: tuple[float, ...] | None = None,
        alpha: float = 1.0,
        cap: int = CAP,
    ):
        super().__init__(columns, states, lower=lower, upper=upper, alpha=alpha)
        self.cap = cap
        self.register_buffer("dispersion", None)

    dispersion: Moments

    def config(self) -> dict[str, Any]:
        return {
            "columns": self.columns, "states": self.states, **self.stated(), "alpha": self.alpha, "cap": self.cap,
        }  # fmt: skip

    def layout(self) -> dict[str, tuple[int, ...]]:
        return {"rate": (self.columns, self.states), "dispersion": (self.columns, self.states)}

    # learning -----------------------------------------------------------------------------------------------------
    def statistics(self, x: Block, state: State, weight: Weight = None, known: Mask = None) -> Stats:
        """Weight, sum and sum of squares of counts (D, K), and their tally (D (cap + 2), K): the last is above cap."""
        share, k, seen = self._seen(x, state, weight, known)
        tally = Categorical(self.columns, self.states, levels=(self.cap + 2,) * self.columns)
        return {
            "weight": self._weight(share, seen, self.columns),
            "total": (share @ k).T,
            "square": (share @ k**2).T,
            "tally": tally.statistics(k.clamp(max=self.cap + 1).long(), state, weight, seen)["counts"],
        }

    def maximise(self, stats: Stats) -> None:
        weight, total = stats["weight"], stats["total"]
        self.rate = self._smoothed_rate(weight, total)
        tally = stats["tally"].reshape(self.columns, self.cap + 2, self.states)
        every = weight.sum(1, keepdim=True).clamp(min=1e-300)
        pull = max(self.alpha, 1e-10)
        smooth = tally + pull * (tally.sum(2, keepdim=True) / every[:, None])
        count = weight + pull * (weight.sum(1, keepdim=True) > 0)
        above = smooth.flip(1).cumsum(1).flip(1)[:, 1:]  # above[i]: the weight of counts above i
        mean, square = (
            (stats[name] + pull * stats[name].sum(1, keepdim=True) / every) / count.clamp(min=1e-300)
            for name in ("total", "square")
        )
        excess = square - mean**2 - mean  # about the mean of these very rows: any other adds its distance squared
        by_moments = mean**2 / excess.clamp(min=1e-300)
        tallied = tally[:, -1].sum(1, keepdim=True) == 0
        size = torch.where(tallied, negative_binomial.likeliest_size(self.rate, count, above[:, :-1]), by_moments)
        spreads = (excess > 0) & (self.rate > negative_binomial.LEAST_EXCESS * size)
        self.dispersion = torch.where(spreads, 1 / size, 0.0)

    # asking -------------------------------------------------------------------------------------------------------
    def _log_mass(self, k: ByColumn) -> Scores:
        """log P(k) -> (D, K, n) for counts (D, n); -inf outside the bounds."""
        outside = (k < 0) | (k > self.last[:, None])
        k = k.masked_fill(outside, 0.0)[:, None]
        out = negative_binomial.log_mass(k, self.rate[:, :, None], self.dispersion[:, :, None])
        return (out - self.log_normaliser()[:, :, None]).masked_fill(outside[:, None], -torch.inf)

    def log_prob(self, x: Block, known: Mask = None) -> Scores:
        return lookup.cells(self._log_mass, x, known, self.first)

    def joint(self, x: Block, known: Mask = None) -> Sums:
        return lookup.sums(self._log_mass, x, known, self.first)

    def _draw(self, state: Observed, generator: Generator) -> Block:
        """A Poisson whose rate is Gamma distributed with shape r and mean `rate`."""
        rate, dispersion = self.rate[:, state].T, self.dispersion[:, state].T
        size = torch.where(dispersion > 0, 1 / dispersion, 1.0)
        factor = torch._standard_gamma(size, generator=generator) / size
        return torch.poisson(rate * torch.where(dispersion > 0, factor, 1.0), generator=generator)

    def _cdf(self, column: int, k: At) -> Tails:
        return negative_binomial.tails(k, self.rate[column, :, None], self.dispersion[column, :, None])

    def mean(self) -> Moments:
        """E[x | k] = lower + rate P(J <= upper - 1 | r + 1) / P(J <= upper | r), r + 1 at the same odds."""
        out = self.rate.clone()
        for d in self.last.isfinite().nonzero()[:, 0].tolist():
            rate, dispersion = out[d, :, None], self.dispersion[d, :, None]
            last = self.last[d, None]
            tilted = rate * (1 + dispersion), dispersion / (1 + dispersion)  # the size r + 1 at the same odds
            cut = negative_binomial.tails((last - 1).clamp(min=0.0), *tilted)[0]
            cut = cut / negative_binomial.tails(last, rate, dispersion)[0]
            out[d] *= cut[:, 0] if last > 0 else 0.0
        return self.first[:, None] + out
