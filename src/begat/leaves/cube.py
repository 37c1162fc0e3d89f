"""The columns of a table as a unit cube of ranks, in which columns that are independent are spread evenly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from begat.core import Batch, Region
from begat.errors import Impossible
from begat.leaves.places import Places
from begat.leaves.ranks import Ranks
from begat.random import evenly, own_uniform

PerRow = Float[Tensor, " n"]
Points = Float[Tensor, "n d"]
Known = Bool[Tensor, "n d"]
Class = Int[Tensor, " n"]
Regions = dict[int, Region]
TINY = 1e-9
"""What is left of the unit interval where its last block begins, at least."""


class Found(NamedTuple):
    """The places of rows (n, all columns), and where what is known of them lies: pieces of the unit interval, unknown
    cells the whole of it; the class of each row, -1 where it is unknown; log p0 of the known cells, but the class; and
    by how much the draws of each row are shifted, a function of the row alone (Cranley and Patterson, 1976)."""

    cells: Int[Tensor, "n _"]
    low: Points
    width: Points
    known: Known
    label: Class
    log_own: PerRow
    shift: Float[Tensor, "n e"]

    def even(self, count: int) -> Float[Tensor, "n s e"]:
        """Numbers of [0, 1), `count` of each of 2 D + 1 evenly spread, in orders that all rows share, shifted by each
        row's own -> (n, S, 2 D + 1): within the pieces, for what is unknown, and one more."""
        return evenly(self.shift, count)

    def rows(self, rows: Tensor) -> Found:
        return Found(*(each[rows] for each in self))

    def without(self, i: int) -> Found:
        """The same with the column i of the cube not known."""
        low, width, known = self.low.clone(), self.width.clone(), self.known.clone()
        low[:, i], width[:, i], known[:, i] = 0.0, 1.0, False
        return self._replace(low=low, width=width, known=known)


LogF = Callable[[Found], PerRow]


class Cube:
    """Where the cells of all columns but the class lie among their columns' own laws (leaves.ranks), and the way back.

    columns: the numbers of its columns, of all. label: the column of the class, if any. exact: whether all cells are
    points of it, so that a density of the cube is one of rows.
    """

    def __init__(self, places: Sequence[Places], label: int | None):
        self.places, self.label = tuple(places), label
        self.columns = [d for d in range(len(self.places)) if d != label]
        self.ranks = [Ranks(self.places[d]) for d in self.columns]
        self.exact = all(each.exact for each in self.ranks)

    def __len__(self) -> int:
        return len(self.columns)

    # in -----------------------------------------------------------------------------------------------------------
    def find(self, batch: Batch, cells: Int[Tensor, "n _"]) -> Found:
        """Where rows with these places lie."""
        n = len(cells)
        low, width, own = torch.empty(n, len(self)), torch.empty(n, len(self)), torch.zeros(n, dtype=torch.float64)
        known = torch.ones(n, len(self), dtype=torch.bool)
        for i, (d, ranks) in enumerate(zip(self.columns, self.ranks, strict=True)):
            low[:, i], width[:, i] = ranks.find(batch, cells[:, d])
            known[:, i] = cells[:, d] < self.places[d].size
            own += self.places[d].log_own(batch, cells[:, d])
        label = torch.full((n,), -1)
        if self.label is not None:
            label = torch.where(cells[:, self.label] < self.places[self.label].size, cells[:, self.label], -1)
        shift = own_uniform(low.view(torch.int32), 2 * len(self) + 1)
        return Found(cells, low, width, known, label, own, shift)

    def log_classes(self, found: Found, log_f: LogF) -> Float[Tensor, "v n"]:
        """log P(class) + log f(known ranks | class) of every class -> (V, n)."""
        assert self.label is not None
        base = self.places[self.label].log_base
        each = [self.log_known(found._replace(label=torch.full_like(found.label, v)), log_f) for v in range(len(base))]
        return torch.stack(each)

    def log_known(self, found: Found, log_f: LogF) -> PerRow:
        """log P(known cells) - sum of log p0 of those that are no class -> (n,); of any class where it is unknown.

        log_f: log f(known ranks | class) of rows of which some ranks are known, and the class, if there are any.
        """
        out, rest = torch.zeros(len(found.label), dtype=torch.float64), torch.arange(len(found.label))
        if self.label is not None:
            free, rest = (found.label < 0).nonzero()[:, 0], (found.label >= 0).nonzero()[:, 0]
            if len(free):
                out[free] = torch.logsumexp(self.log_classes(found.rows(free), log_f), 0)
            out[rest] = self.places[self.label].log_base[found.label[rest]]
        rest = rest[found.known[rest].any(1)]
        if len(rest):
            out[rest] += log_f(found.rows(rest))
        return out

    def pieces(self, found: Found, weight: Float[Tensor, " n"] | None) -> Batch:
        """What a fit reads: (low, width) of the pieces of rows, and their classes."""
        return Batch((found.low, found.width), (None, None), None if self.label is None else found.label, weight)

    def blocks(self, count: int) -> tuple[Float[Tensor, "d v"], Float[Tensor, " d"]]:
        """Where blocks of neighbouring places of each column begin, lighter than 1 / count or single -> (D, V), 1 where
        a column has no more; and the share of each column's mass that is in blocks of a single place -> (D,)."""
        found = [_blocks(ranks.width, count) for ranks in self.ranks]
        size = max((len(begins) for begins, _ in found), default=1)
        out = torch.ones(len(self), size, dtype=torch.float64)
        for row, (begins, _) in zip(out, found, strict=True):
            row[: len(begins)] = begins
        return out, torch.tensor([alone for _, alone in found], dtype=torch.float64)

    # out ----------------------------------------------------------------------------------------------------------
    def write(
        self, batch: Batch, found: Found, u: Points, label: Class, asked: Regions, *, generator: Generator
    ) -> Batch:
        """The batch with its unknown cells at these ranks (n, D), in their regions, and its unknown classes these."""
        x = [each.clone() for each in batch.x]
        x[0] = x[0].double()
        for i, (d, ranks) in enumerate(zip(self.columns, self.ranks, strict=True)):
            drawn = (~found.known[:, i]).nonzero()[:, 0]
            if len(drawn):
                self.places[d].write(ranks.draw(u[drawn, i], asked.get(d), generator=generator), x[0], x[1], drawn)
        if self.label is not None:
            drawn, law = (found.label < 0).nonzero()[:, 0], self.places[self.label]
            if len(drawn):
                law.write(law.representative(label[drawn]), x[0], x[1], drawn)
        return batch.filled((x[0], x[1]))

    def prior(self, label: Class, count: int, region: Region | None, *, generator: Generator) -> Int[Tensor, "n s"]:
        """The class of each row, `count` times; drawn from P(y) in its region where it is unknown -> (n, S)."""
        assert self.label is not None
        law = self.places[self.label]
        p = law.log_base.exp() * (1.0 if region is None else law.shares(region))
        if bool((label < 0).any()) and not float(p.sum()) > 0:
            raise Impossible(int((label < 0).nonzero()[0, 0]))
        drawn = torch.multinomial(p.clamp(min=1e-300).expand(len(label), -1), count, True, generator=generator)
        return torch.where((label < 0)[:, None], drawn, label[:, None])

    def classes(
        self, found: Found, log_p: Callable[[Found], Float[Tensor, "v n"]], region: Region | None, *,
        generator: Generator,
    ) -> Class:  # fmt: skip
        """The class of each row, drawn where it is unknown: given what else is known, whose log joint with each class
        log_p gives, and in its region."""
        assert self.label is not None
        law, out = self.places[self.label], found.label.clone()
        share = torch.ones(law.size, dtype=torch.float64) if region is None else law.shares(region)
        rows = (out < 0).nonzero()[:, 0]
        log_w = (law.log_base + share.log()).expand(len(rows), -1).clone()
        told = found.known[rows].any(1)
        if told.any():
            log_w[told] += log_p(found.rows(rows[told])).T - law.log_base
        if (lost := ~(log_w.amax(1) > -torch.inf)).any() if len(rows) else False:
            raise Impossible(int(rows[lost][0]))
        if len(rows):
            out[rows] = torch.multinomial(log_w.softmax(1), 1, generator=generator)[:, 0]
        return out


def _blocks(width: Float[Tensor, " v"], count: int) -> tuple[Float[Tensor, " b"], float]:
    """Where each block of places of these masses begins, and the mass of those that are a single place: the next place
    joins a block while they are below 1 / count together."""
    begins, masses, members = [0.0], [0.0], [0]
    for mass in width.tolist():
        if masses[-1] > 0 and (masses[-1] + mass) * count > 1:
            begins.append(begins[-1] + masses[-1])
            masses.append(0.0)
            members.append(0)
        masses[-1] += mass
        members[-1] += mass > 0
    sound = [i for i, begin in enumerate(begins) if begin < 1 - TINY]
    alone = float(sum(masses[i] for i in sound if members[i] == 1))
    return torch.tensor([begins[i] for i in sound], dtype=torch.float64), alone
