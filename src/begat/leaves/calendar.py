"""The leaf of dates and times: a week, a day of that week and a time of that day, each with its own histogram."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Generator, Tensor, nn

from begat.core import Region, Stats
from begat.leaves.base import (
    Block,
    Drawn,
    Leaf,
    Mask,
    Moments,
    Observed,
    PerState,
    Scores,
    State,
    Sums,
    Weight,
    join,
    part,
)
from begat.leaves.bounds import Bounded
from begat.leaves.histogram import Histogram
from begat.maths.choice import choose

MONDAYS = 3
"""Days from the Monday before it to 1970-01-01, a Thursday."""
Point = tuple[int, ...]
"""(week, weekday) or (week, weekday, time of day) of one tick; Monday is 0."""
Numbers = Float[Tensor, "*shape"]
"""Ticks, or one part of the date of each."""


class Calendar(Bounded, Leaf):
    """P(t | k) = P(week | k) P(weekday | k) P(time of day | k) / Z_k for whole ticks t, D columns and K states.

    A tick t is the bijection of (week, weekday, time of day):
    t + origin = ((7 week + weekday) - 3) ticks_per_day + time, since 1970-01-01 was a Thursday. The week, counted
    from then, carries season and trend; all parts are Histogram leaves on their grids (one bin for each week up to 600
    weeks, for each weekday, and for each time of day up to 600 ticks a day). Z is what stated bounds leave, exactly.

    ticks_per_day: encoded steps in a day; days alone have 1 and no time of day. origin: steps from 1970-01-01 to the
    step encoded as 0. lower, upper: stated bounds, in encoded steps.
    """

    grid = True

    def __init__(
        self,
        columns: int,
        states: int,
        *,
        ticks_per_day: int = 1,
        origin: int = 0,
        lower: Sequence[float] | None = None,
        upper: Sequence[float] | None = None,
        alpha: float = 1.0,
    ):
        super().__init__()
        if ticks_per_day < 1:
            raise ValueError(f"ticks_per_day is {ticks_per_day}; a day has at least one tick")
        self.columns, self.states, self.alpha = columns, states, alpha
        self.ticks_per_day, self.origin = ticks_per_day, origin
        self.bound(lower, upper)
        last = [6] + [ticks_per_day - 1] * (ticks_per_day > 1)
        weeks = [tuple(self._week(bound) for bound in bounds) for bounds in (self.lower, self.upper)]
        parts = [Histogram(columns, states, grid=True, lower=weeks[0], upper=weeks[1], alpha=alpha)]
        for most in last:
            zeros, ends = (0.0,) * columns, (float(most),) * columns
            parts.append(
                Histogram(columns, states, grid=True, lower=zeros, upper=ends, alpha=alpha, bins=min(most + 1, 600))
            )
        self.parts = nn.ModuleDict(dict(zip(("week", "weekday", "time"), parts, strict=False)))
        self.sizes = tuple(most + 1 for most in last)

    def config(self) -> dict[str, Any]:
        return {
            "columns": self.columns, "states": self.states, "ticks_per_day": self.ticks_per_day,
            "origin": self.origin, **self.stated(), "alpha": self.alpha,
        }  # fmt: skip

    def layout(self) -> dict[str, tuple[int, ...]]:
        return join({f"parts.{name}": leaf.layout() for name, leaf in self._leaves()})

    def _leaves(self) -> list[tuple[str, Histogram]]:
        return [(name, leaf) for name, leaf in self.parts.items() if isinstance(leaf, Histogram)]

    # ticks and dates ----------------------------------------------------------------------------------------------
    def _split(self, x: Shaped[Tensor, "*shape"]) -> list[Numbers]:
        """Week, weekday and (if a day has several ticks) time of day of each tick, in float64."""
        tick = x.double().floor() + (self.origin + MONDAYS * self.ticks_per_day)
        day = (tick / self.ticks_per_day).floor()
        time = tick - day * self.ticks_per_day
        week = (day / 7).floor()
        return [week, day - 7 * week] + [time] * (self.ticks_per_day > 1)

    def _tick(self, parts: Sequence[Numbers]) -> Numbers:
        """The inverse of `_split`."""
        day = 7 * parts[0] + parts[1] - MONDAYS
        return day * self.ticks_per_day + (parts[2] if len(parts) > 2 else 0.0) - self.origin

    def _point(self, tick: float) -> Point | None:
        """The date of a tick; None where a side has no end."""
        if math.isinf(tick):
            return None
        return tuple(int(p) for p in self._split(torch.tensor(tick, dtype=torch.float64)))

    def _week(self, bound: float) -> float:
        date = self._point(bound)
        return float(date[0]) if date else bound

    # learning -----------------------------------------------------------------------------------------------------
    def start(self, x: Block, state: State, weight: Weight = None, known: Mask = None) -> None:
        for (_, leaf), cells in zip(self._leaves(), self._split(x), strict=True):
            leaf.start(cells, state, weight, known)

    def statistics(self, x: Block, state: State, weight: Weight = None, known: Mask = None) -> Stats:
        return join(
            {
                name: leaf.statistics(cells, state, weight, known)
                for (name, leaf), cells in zip(self._leaves(), self._split(x), strict=True)
            }
        )

    def maximise(self, stats: Stats) -> None:
        for name, leaf in self._leaves():
            leaf.maximise(part(stats, name))

    # asking -------------------------------------------------------------------------------------------------------
    def log_prob(self, x: Block, known: Mask = None) -> Scores:
        cells = self._split(x)
        out = torch.stack([leaf.log_prob(c, known) for (_, leaf), c in zip(self._leaves(), cells, strict=True)]).sum(0)
        out = out - self._log_whole()[:, :, None]
        out = out.masked_fill(self.outside(x).T[:, None], -torch.inf) if self.bounded else out
        return out if known is None else out.masked_fill(~known.T[:, None], 0.0)

    def joint(self, x: Block, known: Mask = None) -> Sums:
        cells = self._split(x)
        out = torch.stack([leaf.joint(c, known) for (_, leaf), c in zip(self._leaves(), cells, strict=True)]).sum(0)
        whole = self._log_whole().T
        out = out - (whole.sum(1, keepdim=True) if known is None else whole @ known.T.double())
        return out.masked_fill(self.outside(x, known).any(1), -torch.inf) if self.bounded else out

    def _log_whole(self) -> Moments:
        """log Z -> (D, K): the mass between the stated bounds, which may begin and end within a week."""
        out = torch.zeros(self.columns, self.states, dtype=torch.float64)
        for d, bounds in enumerate(zip(self.lower, self.upper, strict=True)):
            if any(map(math.isfinite, bounds)):
                out[d] = self._between(d, 0, *self._limits(d, Region()))
        return out

    def sample(self, state: Observed, *, generator: Generator) -> Block:
        drawn = self._tick([leaf.sample(state, generator=generator) for _, leaf in self._leaves()])
        for d, bounds in enumerate(zip(self.lower, self.upper, strict=True)):
            if any(map(math.isfinite, bounds)):
                drawn[:, d] = self.sample_in(d, Region(), state, generator=generator)
        return drawn

    # ranges of dates: part of a first week, whole weeks, part of a last week; likewise the days and times in them ----
    def log_mass(self, column: int, region: Region) -> PerState:
        return self._between(column, 0, *self._limits(column, region)) - self._log_whole()[column]

    def sample_in(self, column: int, region: Region, state: Observed, *, generator: Generator) -> Drawn:
        first, last = self._limits(column, region)
        return self._tick(self._draw(column, 0, first, last, state.long(), generator))

    def _limits(self, column: int, region: Region) -> tuple[Point | None, Point | None]:
        """First and last tick of the region within the bounds, as dates; None where there is no end."""
        lower, upper, _ = self.allowed(column, region).whole()
        return self._point(lower), self._point(upper)

    def _pieces(
        self, level: int, first: Point | None, last: Point | None
    ) -> list[tuple[Region, Point | None, Point | None]]:
        """Disjoint pieces of first..last: the values of part `level`, and the ends of the parts after it in each."""
        low = float(first[0]) if first else -math.inf
        high = float(last[0]) if last else math.inf
        if low > high:
            return []
        if level == len(self.sizes):
            return [(Region(low, high), None, None)]
        if low == high:
            return [(Region(low, high), first and first[1:], last and last[1:])]
        pieces: list[tuple[Region, Point | None, Point | None]] = []
        if first and any(first[1:]):
            pieces.append((Region(low, low), first[1:], None))
            low += 1
        if last and last[1:] != tuple(size - 1 for size in self.sizes[level:]):
            pieces.append((Region(high, high), None, last[1:]))
            high -= 1
        return [*pieces, (Region(low, high), None, None)] if low <= high else pieces

    def _between(self, column: int, level: int, first: Point | None, last: Point | None) -> PerState:
        """log P(first <= (part `level`, the parts after it) <= last | k) -> (K,)."""
        leaf = self._leaves()[level][1]
        masses = [torch.full((self.states,), -torch.inf, dtype=torch.float64)]
        for region, start, end in self._pieces(level, first, last):
            mass = leaf.log_mass(column, region)
            masses.append(mass + self._between(column, level + 1, start, end) if start or end else mass)
        return torch.logsumexp(torch.stack(masses), 0)

    def _draw(
        self, column: int, level: int, first: Point | None, last: Point | None, state: Observed, generator: Generator
    ) -> list[Drawn]:
        """Draws (n,) of part `level` and of the parts after it between first and last."""
        leaf, deeper = self._leaves()[level][1], len(self.sizes) - level
        pieces = self._pieces(level, first, last)
        if not pieces:  # a range without any tick is the caller's to refuse; its draws are the tick that it begins with
            point = first or last or (0,) * (deeper + 1)
            pieces = [(Region(float(point[0]), float(point[0])), point[1:], point[1:])]
        masses = []
        for region, start, end in pieces:
            mass = leaf.log_mass(column, region)
            masses.append(mass + self._between(column, level + 1, start, end) if start or end else mass)
        chosen = choose(torch.stack(masses)[:, state], generator=generator)
        out = [torch.zeros(len(state), dtype=torch.float64) for _ in range(deeper + 1)]
        for i, (region, start, end) in enumerate(pieces):
            rows = (chosen == i).nonzero()[:, 0]
            if not len(rows):
                continue
            out[0][rows] = leaf.sample_in(column, region, state[rows], generator=generator)
            if deeper:
                rest = self._draw(column, level + 1, start, end, state[rows], generator)
                for target, drawn in zip(out[1:], rest, strict=True):
                    target[rows] = drawn
        return out

    def mean(self) -> Moments:
        """E[t | k], taking first and last week of stated bounds as whole."""
        return self._tick([leaf.mean() for _, leaf in self._leaves()])
