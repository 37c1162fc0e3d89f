"""Leaves of codes: the categorical, and the Bernoulli whose sum over many columns is one matrix product."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn.functional import embedding_bag

from begat.core import Region, Stats
from begat.leaves.base import Block, Drawn, Leaf, Mask, Moments, Observed, PerState, Scores, State, Sums, Weight
from begat.leaves.sums import spread

Codes = Int[Tensor, "n d"]
Table = Float[Tensor, "levels k"]


class Categorical(Leaf):
    """p(code | k) = (N_k,code + alpha) / (N_k + alpha L), for D columns of L_d levels under K states.

    Equal to scikit-learn's CategoricalNB with the same alpha. The tables of all columns stand above each other as
    (sum L, K); a row's log-probability summed over its columns is one gather-and-add (embedding bag).

    levels: L_d for each column. alpha: pseudo-count of each level, one number or one for each column.
    """

    reads = "codes"

    def __init__(self, columns: int, states: int, *, levels: tuple[int, ...], alpha: float | tuple[float, ...] = 1.0):
        super().__init__()
        self.columns, self.states, self.levels = columns, states, tuple(levels)
        self.alpha = tuple(alpha) if isinstance(alpha, list | tuple) else (alpha,) * columns
        starts = torch.tensor((0, *self.levels)).cumsum(0)
        self.total = int(starts[-1])
        self.register_buffer("first", starts[:-1].to(torch.int32), persistent=False)
        self.register_buffer("log_p", None)

    first: Int[Tensor, " d"]
    log_p: Table

    def config(self) -> dict[str, Any]:
        return {"columns": self.columns, "states": self.states, "levels": self.levels, "alpha": self.alpha}

    def layout(self) -> dict[str, tuple[int, ...]]:
        return {"log_p": (self.total, self.states)}

    def statistics(self, x: Block, state: State, weight: Weight = None, known: Mask = None) -> Stats:
        """Counts of each level under each state, (sum L, K), in float64."""
        # 32-bit cell numbers wherever they suffice: five times faster than 64-bit ones.
        size = (self.total + 1) * self.states
        kind = torch.int32 if size < 2**31 else torch.int64
        rows = x.to(kind) + self.first.to(kind)
        if known is not None:
            rows = rows.masked_fill(~known, self.total)
        if state.is_floating_point():
            share = spread(state, self.states, weight).T.contiguous()
            counts = torch.zeros(self.total + 1, self.states, dtype=torch.float64)
            for column in rows.T:
                counts.index_add_(0, column, share)
            return {"counts": counts[: self.total]}
        cells = rows.mul_(self.states).add_(state.to(kind)[:, None])
        each = None if weight is None else weight.double()[:, None].expand(-1, self.columns).reshape(-1)
        counts = torch.bincount(cells.reshape(-1), each, minlength=size).double()
        return {"counts": counts.reshape(-1, self.states)[: self.total]}

    def maximise(self, stats: Stats) -> None:
        split = stats["counts"].split(self.levels)
        tables = []
        for counts, alpha in zip(split, self.alpha, strict=True):
            smooth = counts + alpha
            whole = smooth.sum(0)
            # With alpha = 0 a state without data has no estimate: every level is as likely as any other.
            tables.append(torch.where(whole > 0, smooth / whole, 1.0 / max(len(counts), 1)).log())
        self.log_p = torch.cat(tables)

    def joint(self, x: Block, known: Mask = None) -> Sums:
        """Sums of float32 rows that are exact to about 1e-11, since float64 bags are ten times slower.

        A log-probability is split into a multiple of 2^-s, small enough in number that sums of them are exact in
        float32, and the rest, at most 2^-s / 2, whose rounding no longer matters.
        """
        rows, table = self._rows(x, known)
        if len(table) > rows.numel():  # preparing the table would cost more than it saves
            return embedding_bag(rows, table, mode="sum").T.contiguous()
        finite = table.isfinite()
        largest = self.columns * float(torch.where(finite, table.abs(), 0.0).max())
        scale = 2.0 ** (23 - math.frexp(largest + 1.0)[1])
        coarse = (table * scale).round() / scale
        fine = torch.where(finite, table - coarse, 0.0)
        both = embedding_bag(rows, torch.cat([coarse, fine], 1).float(), mode="sum").T.double()
        return both[: self.states] + both[self.states :]

    def log_prob(self, x: Block, known: Mask = None) -> Scores:
        rows, table = self._rows(x, known)
        return table[rows.long()].permute(1, 2, 0)

    def _rows(self, x: Block, known: Mask) -> tuple[Codes, Table]:
        """Each cell's row of the table; unknown cells have a row of zeros below it."""
        rows = x.to(torch.int32) + self.first
        if known is None:
            return rows, self.log_p
        return rows.masked_fill(~known, self.total), torch.cat([self.log_p, torch.zeros(1, self.states).double()])

    def sample(self, state: Observed, *, generator: Generator) -> Block:
        every = [self._draw(table, state, generator) for table in self.log_p.split(self.levels)]
        return torch.stack(every, 1) if every else torch.empty(len(state), 0, dtype=torch.long)

    def _draw(self, log_p: Table, state: Observed, generator: Generator) -> Int[Tensor, " n"]:
        """One code for each state from the table (L, K) by inverting its cumulative sums."""
        cdf = torch.softmax(log_p, 0).cumsum(0)
        # All states share one sorted axis: the cumulative sums of state k are moved up by k.
        steps = (cdf / cdf[-1] + torch.arange(self.states)).T.contiguous()
        u = torch.rand(len(state), generator=generator, dtype=torch.float64)
        flat = torch.searchsorted(steps.reshape(-1), (u + state).clamp(max=self.states * (1 - 1e-16)), right=True)
        code = flat - state.long() * len(log_p)
        return code.clamp(0, len(log_p) - 1)

    def table(self, column: int) -> Table:
        """log p of one column, (L_d, K)."""
        first = int(self.first[column])
        return self.log_p[first : first + self.levels[column]]

    def forbid(self, column: int, code: int) -> None:
        """Give a code of one column the probability 0, and its share to the others in proportion."""
        table = self.table(column)
        table[code] = -torch.inf
        table -= torch.logsumexp(table, 0)

    def log_mass(self, column: int, region: Region) -> PerState:
        table = self.table(column)
        return torch.logsumexp(table if region.codes is None else table[region.codes], 0)

    def sample_in(self, column: int, region: Region, state: Observed, *, generator: Generator) -> Drawn:
        table = self.table(column)
        if region.codes is not None:
            table = table.masked_fill(~region.codes[:, None], -torch.inf)
        return self._draw(table, state, generator)

    def mean(self) -> Moments:
        """Levels have no order and no mean: NaN."""
        return torch.full((self.columns, self.states), torch.nan, dtype=torch.float64)


class Bernoulli(Categorical):
    """p(1 | k) = (N_k,1 + alpha) / (N_k + 2 alpha): the categorical of two levels, as BernoulliNB has it.

    log p(x | k) = sum_d log(1 - p_d) + x_d log(p_d / (1 - p_d)): one matrix product, for thousands of columns.
    """

    def __init__(
        self, columns: int, states: int, *, levels: tuple[int, ...] = (), alpha: float | tuple[float, ...] = 1.0
    ):
        super().__init__(columns, states, levels=levels or (2,) * columns, alpha=alpha)

    def statistics(self, x: Block, state: State, weight: Weight = None, known: Mask = None) -> Stats:
        share = spread(state, self.states, weight)
        if known is None:
            whole = share.sum(1).expand(self.columns, -1)
            ones = (share @ x.double()).T
        else:
            whole, ones = (share @ known.double()).T, (share @ (x * known).double()).T
        return {"counts": torch.stack([whole - ones, ones], 1).reshape(-1, self.states)}

    def joint(self, x: Block, known: Mask = None) -> Sums:
        off, on = self.log_p[0::2], self.log_p[1::2]
        if not (torch.isfinite(off).all() and torch.isfinite(on).all()):
            return super().joint(x, known)  # alpha = 0 and a level never seen: 0 * inf has no value
        if known is None:
            return torch.addmm(off.sum(0)[:, None], (on - off).T, x.double().T)
        seen = known.T.double()
        return torch.addmm(off.T @ seen, (on - off).T, x.T.double() * seen)
