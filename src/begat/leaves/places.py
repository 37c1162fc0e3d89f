"""One column cut into places: what a circuit's states tell apart, and the law within each place that they share."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn

from begat.core import Batch, Region
from begat.leaves import place_centre
from begat.leaves.base import Leaf
from begat.leaves.inverse import ByTails
from begat.leaves.part import Part
from begat.leaves.special import Special
from begat.maths.choice import dealt

PerPlace = Float[Tensor, " v"]
Place = Int[Tensor, " n"]
Cuts = Float[Tensor, " cuts"]
Rows = Float[Tensor, " n"]
PULLS = tuple(4.0**i for i in range(12))
TRIES = 6
"""Pools of draws from the leaf's law before what is still wanted is drawn place by place."""
LEAST_POOL = 8192


class Drawn(NamedTuple):
    """Cells of one column: its code (0 where it has none) and its value (0 where it has none, or none applies)."""

    code: Int[Tensor, " n"]
    value: Rows


class Places(nn.Module):
    """The V places of one column, and p0, the column's own law whatever the state.

    A law of places P(v | k) makes a law of the column that follows a leaf's law q within each place:

        p(x | k) = P(v | k) q(x) / q(v),    v the place of x,    q(v) = P(x in v) under q

    so that it has mass on grids and levels and density elsewhere just where the leaf has. p0 is the law of places of
    the whole column, p0(v) = (N_v + c q(v)) / (N + c) of its N rows: c pseudo-rows, PULLS, as many as predict each row
    best from all others, so that it has the spikes of a column that repeats and the smoothness of one that does not.
    Numbers and dates are cut into intervals, the places 0, 1, ...; after them comes a place for each special code, or
    for each level.

    part: the leaf, of one column and state, and the column's position in an encoded table. cuts: rising; the interval
    i is [cuts_i-1, cuts_i), on a grid of encoded whole numbers, with cuts half way between two of them.
    """

    def __init__(self, part: Part, cuts: Cuts):
        super().__init__()
        self.part, self.leaf = part, part.leaf
        if (self.leaf.columns, self.leaf.states) != (1, 1):
            raise ValueError(f"places take a leaf of one column and state, not of {self.leaf.columns} columns")
        self.register_buffer("cuts", cuts)
        self.register_buffer("log_q", None)
        self.register_buffer("log_base", None)
        self.register_buffer("base", None)
        levels = 0 if self.leaf.reads == "values" else self._codes()
        self.intervals = 0 if self.leaf.reads == "codes" else len(cuts) + 1
        self.codes = levels - (self.leaf.reads == "both")
        self.size = self.intervals + self.codes

    cuts: Cuts
    log_q: PerPlace
    log_base: PerPlace
    base: Float[Tensor, " v"]

    def _codes(self) -> int:
        codes = self.leaf.codes if self.leaf.reads == "both" else self.leaf
        return int(codes.levels[0])  # type: ignore[union-attr, index]

    def settle(self, counts: PerPlace) -> None:
        """Take q(v) of the fitted leaf and p0(v), from the weight of the rows in each place (V,)."""
        log_q = self._log_shares()
        q, n = log_q.exp(), counts.sum()
        best, chosen = -torch.inf, q
        for c in (*PULLS, torch.inf):
            if np.isinf(c):
                alone, made = q.clamp(min=1e-300), q
            else:
                alone = ((counts - 1).clamp(min=0.0) + c * q).clamp(min=1e-300) / ((n - 1).clamp(min=0.0) + c)
                made = (counts + c * q) / (n + c)
            score = float((counts * alone.log()).sum())
            if score > best:
                best, chosen = score, made
        self.take(log_q, (chosen / chosen.sum().clamp(min=1e-300)).log())

    def _log_shares(self) -> PerPlace:
        """log q(v) of every place -> (V,)."""
        law, first = self.leaf_of_numbers, torch.empty(0, dtype=torch.float64)
        atoms = isinstance(self.leaf, Special) and any(self.leaf.atoms)
        if self.intervals and isinstance(law, ByTails) and not atoms:
            first = law.log_masses(0, self.cuts)[0]
            if isinstance(self.leaf, Special):
                first = first + self.leaf.codes.table(0)[0, 0]
        rest = [self.leaf.log_mass(0, self.region(v))[0] for v in range(len(first), self.size)]
        return torch.cat([first, torch.stack(rest)]) if rest else first

    def take(self, log_q: PerPlace, log_base: PerPlace) -> None:
        """Set log q(v) and log p0(v) -> (V,) each, -inf where nothing can lie in a place; base is p0(v) in float32."""
        self.log_q, self.log_base, self.base = log_q, log_base, log_base.exp().float()
        self._middle: PerPlace | None = None

    # in -----------------------------------------------------------------------------------------------------------
    def find(self, batch: Batch) -> Place:
        """The place of each row's cell -> (n,); V where it is unknown, V + 1 where it is known to have no special code
        but not its number."""
        code, value, known = self._cells(batch)
        if not self.intervals:
            return torch.where(known[0], code, self.size)
        place = torch.searchsorted(self.cuts, value.contiguous(), right=True)
        place = torch.where(known[1], place, self.size + 1)
        place = torch.where(code > 0, self.intervals - 1 + code, place)
        return torch.where(known[0], place, self.size)

    def log_own(self, batch: Batch, place: Place) -> Rows:
        """log p0(x) = log q(x) + log p0(v) - log q(v) -> (n,) float64; 0 where the place is V or V + 1, so that nothing
        or no number is known."""
        own = self.leaf.log_prob(*self.part.take(batch))[0, 0]
        more = torch.where(self.log_q.isfinite(), self.log_base - self.log_q, 0.0)
        more = torch.cat([more, torch.zeros(2, dtype=torch.float64)])
        return torch.where(place < self.size, own + more[place], 0.0)

    def log_inside(self, batch: Batch, place: Place) -> Rows:
        """log q(x) - log q(v) of a cell within its place -> (n,) float64: 0 of levels, and where it is not known."""
        base = self.log_base[place.clamp(max=self.size - 1)]
        known = (place < self.size) & base.isfinite()
        return torch.where(known, self.log_own(batch, place) - base, torch.where(place < self.size, base, 0.0))

    def _cells(self, batch: Batch) -> tuple[Place, Rows, tuple[Bool[Tensor, " n"], Bool[Tensor, " n"]]]:
        """Code, value, and whether the code and whether the value is known; a column of values has code 0."""
        n = len(batch)
        sure = torch.ones(n, dtype=torch.bool)
        code, value, known = torch.zeros(n, dtype=torch.long), torch.zeros(n, dtype=torch.float64), [sure, sure]
        if self.part.codes:
            code = batch.x[1][:, self.part.codes[0]].long()
            known[0] = sure if batch.known[1] is None else batch.known[1][:, self.part.codes[0]]
        if self.part.values:
            value = batch.x[0][:, self.part.values[0]].double()
            known[1] = sure if batch.known[0] is None else batch.known[0][:, self.part.values[0]]
            if not self.part.codes:
                known[0] = known[1]
        return code, value, (known[0], known[1])

    def write(
        self, drawn: Drawn, values: Float[Tensor, "m r"], codes: Int[Tensor, "m c"], rows: Place | None = None
    ) -> None:
        """Put cells where `find` reads them, in all rows of an encoded table or in these (n,)."""
        every = slice(None) if rows is None else rows
        if self.part.values:
            values[every, self.part.values[0]] = drawn.value
        if self.part.codes:
            codes[every, self.part.codes[0]] = drawn.code.to(codes.dtype)

    # regions ------------------------------------------------------------------------------------------------------
    def region(self, place: int, within: Region | None = None) -> Region:
        """The values of a place, or what of them lies within a region."""
        both = self.leaf.reads == "both"
        if place >= self.intervals:
            code = place - self.intervals + both
            allowed = torch.arange(self.codes + both) == code
            if within is not None and within.codes is not None:
                allowed &= within.codes
            return Region(codes=allowed)
        low = float(self.cuts[place - 1]) if place else -torch.inf
        high = float(self.cuts[place]) if place < len(self.cuts) else torch.inf
        found = Region(low, high, torch.arange(self.codes + 1) == 0 if both else None)
        if within is None:
            return found
        if both and within.codes is not None and not within.codes[0]:
            return Region(1.0, 0.0, torch.zeros(self.codes + 1, dtype=torch.bool))
        return found.within(within.lower, within.upper)

    def shares(self, region: Region) -> PerPlace:
        """P(x in region | place) -> (V,): 1 or 0 but for the places that an end of the region divides."""
        out = torch.zeros(self.size, dtype=torch.float64)
        if region.codes is None:
            out[self.intervals :] = 1.0
        else:
            out[self.intervals :] = region.codes[int(self.leaf.reads == "both") :].double()
        if not self.intervals or (self.leaf.reads == "both" and region.codes is not None and not region.codes[0]):
            return out
        for v, (low, high) in enumerate(pairwise([-np.inf, *self.cuts.tolist(), np.inf])):
            if region.lower <= low and high <= region.upper:
                out[v] = 1.0
            elif region.lower <= high and low <= region.upper and bool(self.log_q[v].isfinite()):
                out[v] = (self.leaf.log_mass(0, self.region(v, region))[0] - self.log_q[v]).exp().clamp(max=1.0)
        return out

    # out ----------------------------------------------------------------------------------------------------------
    def draw(self, place: Place, region: Region | None = None, *, generator: Generator) -> Drawn:
        """Cells in these places (n,), and in the region where there is one: exact draws from q given both.

        Draws of q are sorted by the place they fall in and given to the rows that want it: a pool of them serves most
        rows, whatever q is. What it lacks is drawn in its place.
        """
        code, value = self.code(place), torch.zeros(len(place), dtype=torch.float64)
        wanting = (place < self.intervals).nonzero()[:, 0]
        if not len(wanting):
            return Drawn(code, value)
        cut = [] if region is None else (self.shares(region)[: self.intervals] < 1).nonzero()[:, 0].tolist()
        whole = ~torch.isin(place[wanting], torch.tensor(cut, dtype=torch.long))
        rest, wanting = wanting[~whole], wanting[whole]
        for _ in range(TRIES):
            if not len(wanting):
                break
            pool, where = self._pool(max(2 * len(wanting), LEAST_POOL), generator)
            rows, served = dealt(place[wanting], where)
            value[wanting[rows]] = pool[served]
            wanting = wanting[~torch.isin(torch.arange(len(wanting)), rows)]
        left = torch.cat([rest, wanting])
        if isinstance(self.leaf_of_numbers, ByTails):
            left = self._invert(value, left, place[left], region, generator)
        for v in place[left].unique().tolist():
            rows = left[place[left] == v]
            state = torch.zeros(len(rows), dtype=torch.long)
            drawn = self.leaf.sample_in(0, self.region(v, region), state, generator=generator)
            value[rows] = (drawn[1] if isinstance(drawn, tuple) else drawn).double()
        return Drawn(code, value)

    def _invert(
        self, value: Rows, rows: Int[Tensor, " w"], place: Int[Tensor, " w"], region: Region | None, rng: Generator
    ) -> Int[Tensor, " _"]:
        """Give each of these rows a draw of its place by inverting the tails; what still falls on numbers that have a
        code of their own, after TRIES, is left."""
        law, atoms = self.leaf_of_numbers, self.atoms
        assert isinstance(law, ByTails)
        low, high = self.bounds()
        if region is not None:
            low, high = low.clamp(min=region.lower), high.clamp(max=region.upper)
        for _ in range(TRIES):
            if not len(rows):
                break
            u = torch.rand(len(rows), generator=rng, dtype=torch.float64)
            value[rows] = law.quantile_between(0, low[place], high[place], u)
            again = torch.isin(value[rows], atoms)
            rows, place = rows[again], place[again]
        return rows

    def _pool(self, n: int, generator: Generator) -> tuple[Float[Tensor, " m"], Int[Tensor, " m"]]:
        """Draws of q that are numbers, and their places."""
        drawn = self.leaf.sample(torch.zeros(n, dtype=torch.long), generator=generator)
        value = (drawn[1][:, 0][drawn[0][:, 0] == 0] if isinstance(drawn, tuple) else drawn[:, 0]).double()
        return value, torch.searchsorted(self.cuts, value.contiguous(), right=True)

    # what a place stands for --------------------------------------------------------------------------------------
    def code(self, place: Place) -> Place:
        """The code of each place (n,): 0 of numbers."""
        return torch.where(place >= self.intervals, place - self.intervals + (self.leaf.reads == "both"), 0)

    def representative(self, place: Place) -> Drawn:
        """The cell that stands for each place (n,): its code, or the middle of its numbers."""
        code, value = self.code(place), torch.zeros(len(place), dtype=torch.float64)
        numbers = place < self.intervals
        if bool(numbers.any()):
            value[numbers] = self.middle()[place[numbers]]
        return Drawn(code, value)

    def height(self) -> Float[Tensor, " v"]:
        """q(x_v) / q(v) of the cell x_v that stands for each place -> (V,) float32: 1 of a code or a single point."""
        out = torch.ones(self.size, dtype=torch.float64)
        if self.intervals:
            x: Any = self.middle()[:, None]
            x = (torch.zeros_like(x, dtype=torch.long), x) if self.leaf.reads == "both" else x
            out[: self.intervals] = (self.leaf.log_prob(x)[0, 0] - self.log_q[: self.intervals]).exp().nan_to_num(0.0)
        return out.float()

    def middle(self) -> PerPlace:
        """A number for each interval -> (intervals,): leaves.place_centre.middle."""
        if self._middle is None:
            self._middle = place_centre.middle(self)
        return self._middle

    def mean(self) -> PerPlace:
        """E[x | v] of q within each interval -> (intervals,): leaves.place_centre.mean."""
        return place_centre.mean(self)

    @property
    def atoms(self) -> Float[Tensor, " a"]:
        """Numbers of the grid that have a code of their own."""
        atoms = self.leaf.atoms[0] if isinstance(self.leaf, Special) and self.leaf.atoms else ()
        return torch.tensor(atoms, dtype=torch.float64)

    @property
    def grid(self) -> bool:
        """Whether its numbers are whole ones."""
        return bool(getattr(self.leaf_of_numbers, "grid", False))

    def bounds(self) -> tuple[PerPlace, PerPlace]:
        """The lower and the upper cut of each interval -> (intervals,) each; infinite outside."""
        end = torch.tensor([torch.inf], dtype=torch.float64)
        return torch.cat([-end, self.cuts]), torch.cat([self.cuts, end])

    @property
    def leaf_of_numbers(self) -> Leaf:
        """q of what has no special code, as it is before numbers with a code of their own are taken out of it."""
        return self.leaf.remainder if isinstance(self.leaf, Special) else self.leaf
