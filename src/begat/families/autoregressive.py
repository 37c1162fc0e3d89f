"""Autoregression over columns: each column's places given those before it, a product of conditionals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from begat.core import Batch, Label, Objective, Spec
from begat.errors import Impossible
from begat.families.over_places import Cells, Heads, OverPlaces, PerRow, Regions, of_cell
from begat.leaves.places import Places
from begat.maths.choice import at_share
from begat.maths.particles import resampled, strata
from begat.random import Noise, mixed

PARTICLES = 64
"""Draws of what is unknown, where something that comes later in the order is known."""
CANDIDATES = 16
"""Places that stand for all of a column's where the surprise of one of them is asked: all, of a column of so many."""
ROWS = 4096
"""Rows, each particle one, whose conditionals are computed at a time."""


@runtime_checkable
class Net(Heads, Protocol):
    """What computes the conditionals: nets.conditionals."""

    def __call__(self, cells: Cells) -> Float[Tensor, "d n width"]: ...
    def column(self, cells: Cells, d: int) -> Float[Tensor, "n v"]: ...


class Walk(NamedTuple):
    """Particles at the end of the order: their cells (n, S, D), log weights (n, S), and the log of the mean weight of
    those that were resampled on the way (n,)."""

    cells: Int[Tensor, "n s d"]
    log_w: Float[Tensor, "n s"]
    log_z: PerRow

    def log_evidence(self) -> PerRow:
        """log of the estimate of P(what is known, unknown cells in their regions) -> (n,); exact of one particle."""
        return self.log_z + torch.logsumexp(self.log_w, 1) - math.log(self.log_w.shape[1])


class Autoregressive(OverPlaces):
    """P(x) = prod_d P(v_d | v_e, e before d in the order) q(x_d) / q(v_d), v the places of x.

    Within a place a column follows its own law q (leaves.places), so that the density is exact and in the data's units.
    What is asked of a row of which something is unknown is exact where all that is known comes before it; else it is
    estimated by particles that are drawn along the order, weighted by what is known, and resampled:

        P(known) = E prod_(d known) P(v_d | known before d, drawn before d).

    any_order: the network has learnt every conditional P(v_d | any other columns). Then what is known is seen first and
    the rest is drawn in the order, whatever the evidence, and P(known) is the product in the order over what is known
    alone. The conditionals of different orders are learnt, and need not agree on one joint.

    Uria, Murray and Larochelle, "A deep and tractable density estimator" (2014), equations 1 and 9 to 12. Doucet and
    Johansen, "A tutorial on particle filtering and smoothing" (2009), section 3.5.
    """

    def __init__(self, spec: Spec, places: Sequence[Places], net: Net, order: Sequence[int], *, any_order: bool):
        super().__init__(spec, places, net)
        self.order, self.any_order = tuple(order), any_order

    net: Net

    # objective ----------------------------------------------------------------------------------------------------
    def objectives(self) -> tuple[Objective, ...]:
        """One player, the network; its loss is -log P(places of a row), nats, or a draw whose mean that is."""
        assert isinstance(self.net, torch.nn.Module)
        return (Objective("columns", self.net, self._any_loss if self.any_order else self._loss),)

    def _loss(self, batch: Batch, noise: Noise) -> PerRow:
        cells = batch.x[0]
        return -self._conditionals(self._seen(cells), cells).sum(0)

    def _any_loss(self, batch: Batch, noise: Noise) -> PerRow:
        """-D / (D - k) sum over what is hidden of log P(v_d | k columns that are shown), k and columns at random."""
        cells, count = batch.x[0], len(self.places)
        shown = (noise.uniform(1) * count).floor()
        hidden = noise.uniform(count).argsort(1).argsort(1) >= shown
        unknown = self.sizes.to(cells.device)
        found = self._conditionals(torch.where(hidden, unknown, self._seen(cells)), cells)
        return -count / (count - shown[:, 0]) * torch.where(hidden.T, found, 0.0).sum(0)

    def _conditionals(self, seen: Cells, cells: Cells) -> Float[Tensor, "d n"]:
        """log P(v_d | what d sees) of every cell -> (D, n); 0 of those that are not known."""
        h = self.net(seen)
        return torch.stack([self._log_cell(h[d], d, cells[:, d]) for d in range(len(self.places))])

    # sampler ------------------------------------------------------------------------------------------------------
    def sample(self, n: int, cond: Label | None = None, *, generator: Generator) -> Batch:
        """n rows. Conditions are cells like others: `complete`."""
        return self.complete(self.nothing(n), generator=generator)

    def complete(self, batch: Batch, asked: Regions | None = None, *, generator: Generator) -> Batch:
        """The batch with every unknown cell drawn given what is known, unknown cells in their regions.

        Draws are exact where all that is known, and every region, comes before what is drawn freely; else they are
        those of PARTICLES particles. A row without any probability is an EvidenceError.
        """
        asked = asked or {}
        cells, place = self.find(batch), torch.empty(len(batch), len(self.places), dtype=torch.long)
        for rows, count in self._split(cells, asked):
            u = self._uniform(len(rows), count, generator)
            walk = self._walk(cells[rows], asked, u)
            share = walk.log_w.softmax(1)
            if (lost := ~torch.isfinite(walk.log_evidence())).any():
                raise Impossible(int(rows[lost][0]))
            place[rows] = walk.cells[torch.arange(len(rows)), at_share(share, u[:, 0, -1])]
        x = [each.clone() for each in batch.x]
        x[0] = x[0].double()
        for d, law in enumerate(self.places):
            drawn = (cells[:, d] >= law.size).nonzero()[:, 0]
            if len(drawn):
                law.write(law.draw(place[drawn, d], asked.get(d), generator=generator), x[0], x[1], drawn)
        return batch.filled((x[0], x[1]))

    # density ------------------------------------------------------------------------------------------------------
    def log_prob(self, batch: Batch, asked: Regions | None = None) -> PerRow:
        """log P(x), or log P(what is known, unknown cells in their regions) -> (n,) float64.

        Exact where all that is known comes before what is not, else the log of an estimate whose mean is exact.
        """
        cells = self.find(batch)
        return self._log_cells(cells, asked or {}) + self._own(batch, cells).sum(0)

    def log_joint(self, batch: Batch, column: int) -> Float[Tensor, "v n"]:
        """log P(x_column at each level, the other columns), of a column of levels -> (V, n) float64."""
        cells, out = self.find(batch), []
        own = self._own(batch, cells).sum(0)
        for v in range(self.places[column].size):
            cells[:, column] = v
            out.append(self._log_cells(cells, {}))
        return torch.stack(out) + own

    def log_posterior(self, batch: Batch, column: int) -> Float[Tensor, "v n"]:
        """log P(x_column at each level | the other columns), of a column of levels -> (V, n) float64."""
        if self.any_order or column == self.order[-1]:
            return self._last(batch, column).log().T
        joint = self.log_joint(batch, column)
        whole = torch.logsumexp(joint, 0)
        return torch.where(whole.isfinite(), joint - whole, self.places[column].log_base[:, None])

    def expected(self, batch: Batch, column: int, numbers: Float[Tensor, " v"]) -> PerRow:
        """E[numbers of the column's place | the other columns] -> (n,)."""
        return self._last(batch, column) @ numbers

    def surprise(self, batch: Batch) -> Float[Tensor, "d n"]:
        """-log P(x_d | all other columns) -> (D, n) float64; 0 for unknown cells.

        In a fixed order, of complete rows, log P(others) is a sum over all places of the column, or over CANDIDATES
        quantiles of its law given the columns before; where something is unknown it is estimated as by `log_prob`.
        """
        cells = self.find(batch)
        known = cells < self.sizes
        out = torch.zeros(len(self.places), len(batch), dtype=torch.float64)
        if self.any_order:
            for d in range(len(self.places)):
                out[d] = -of_cell(self._given(cells, d), cells[:, d])
        else:
            whole = known.all(1)
            out[:, whole] = self._odds(cells[whole])
            rest = (~whole).nonzero()[:, 0]
            there = self._log_cells(cells[rest], {})
            for d in range(len(self.places)):
                some = cells[rest]
                some[:, d] = self.sizes[d]
                out[d, rest] = self._log_cells(some, {}) - there
        return torch.where(known.T, out - self._own(batch, cells), 0.0)

    # places -------------------------------------------------------------------------------------------------------
    def _log_cells(self, cells: Cells, asked: Regions) -> PerRow:
        """log P(known places, unknown ones in their regions) -> (n,)."""
        out = torch.empty(len(cells), dtype=torch.float64)
        for rows, count in self._split(cells, asked):
            out[rows] = self._log_known(cells[rows], asked, count)
        return out

    def _log_known(self, cells: Cells, asked: Regions, count: int) -> PerRow:
        """log P(known places, unknown ones in their regions) -> (n,), by so many particles. They are the same for every
        row, so that its estimate does not depend on its neighbours."""
        if not self.any_order and not asked and bool((cells < self.sizes).all()):
            return self._complete_cells(cells)
        u = self._uniform(1, count, Generator().manual_seed(mixed("particles")))
        if not self.any_order:
            return self._walk(cells, asked, u, draw=False).log_evidence()
        seen, total = self.sizes.expand_as(cells).clone(), torch.zeros(len(cells), dtype=torch.float64)
        for d in self.order:
            known = cells[:, d] < self.sizes[d]
            if known.any():
                total += torch.where(known, of_cell(self._column(seen, d), cells[:, d]), 0.0)
                seen[:, d] = torch.where(known, cells[:, d], self.sizes[d])
        return total + self._walk(cells, asked, u, draw=False).log_evidence()

    def _complete_cells(self, cells: Cells) -> PerRow:
        """log P(places) of rows that are known whole -> (n,): all conditionals at once."""
        device = self.device
        pieces = [self._conditionals(c, c).cpu().double().sum(0) for c in (p.to(device) for p in cells.split(ROWS))]
        return torch.cat(pieces) if pieces else torch.zeros(0, dtype=torch.float64)

    def _column(self, seen: Cells, d: int) -> Float[Tensor, "n v"]:
        """log P(v_d | what is seen) -> (n, V) float64."""
        device = self.device
        pieces = [self.net.column(piece.to(device), d) for piece in seen.split(ROWS)]
        return torch.cat(pieces).cpu().double()

    def _given(self, cells: Cells, d: int) -> Float[Tensor, "n v"]:
        """log P(v_d | everything else that is known) -> (n, V), of the network that has learnt any order."""
        seen = self._seen(cells).clone()
        seen[:, d] = self.sizes[d]
        return self._column(seen, d)

    # walks along the order ----------------------------------------------------------------------------------------
    def _split(self, cells: Cells, asked: Regions) -> list[tuple[Int[Tensor, " m"], int]]:
        """Rows that one particle answers exactly, and those that need many: something is drawn before a cell that is
        known or has a region."""
        unknown, bound = cells >= self.sizes, self._bound(cells, asked)
        if self.any_order:
            many = bound.sum(1) > 1
        else:
            order = list(self.order)
            drawn = unknown[:, order].cumsum(1) - unknown[:, order].long()
            many = ((drawn > 0) & (~unknown | bound)[:, order]).any(1)
        out = []
        for some, count in ((~many, 1), (many, PARTICLES)):
            out += [(rows, count) for rows in some.nonzero()[:, 0].split(max(ROWS // count, 1)) if len(rows)]
        return out

    def _walk(
        self, cells: Cells, asked: Regions, u: Float[Tensor, "_ s e"], *, draw: bool = True, stop: int | None = None
    ) -> Walk:
        """Particles along the order, u their uniform numbers (n or 1, S, 2 D + 1).

        draw: whether what nothing that is known depends on is drawn too. stop: a column before which they end.
        """
        n, count = len(cells), u.shape[1]
        state = self._seen(cells)[:, None].expand(n, count, -1).clone()
        log_w, log_z = torch.zeros(n, count, dtype=torch.float64), torch.zeros(n, dtype=torch.float64)
        unknown, bound = cells >= self.sizes, self._bound(cells, asked)
        steps = list(self.order)
        if self.any_order:
            steps = [d for d in steps if bound[:, d].any()] + [d for d in steps if not bound[:, d].any()]
            telling = bound
        else:
            telling = ~unknown | bound
        if stop is not None:
            steps = steps[: steps.index(stop)]
        if not draw:
            last = max((i for i, d in enumerate(steps) if telling[:, d].any()), default=-1)
            steps = steps[: last + 1]
        for d in steps:
            here, cell = unknown[:, d], cells[:, d]
            if self.any_order and not here.any():
                continue
            log_p = self._column(state.flatten(0, 1), d).unflatten(0, (n, count))
            if not self.any_order:
                known = of_cell(log_p.flatten(0, 1), cell.repeat_interleave(count)).unflatten(0, (n, count))
                log_w = log_w + torch.where(here[:, None], 0.0, known)
            if here.any():
                p = log_p.exp()
                if bound[:, d].any():
                    p = p * self._shares(d, cell, asked)[:, None]
                pick = at_share(p, u[:, :, d].expand(n, -1))
                state[:, :, d] = torch.where(here[:, None], pick, state[:, :, d])
                log_w = log_w + torch.where(bound[:, d, None], p.sum(2).log(), 0.0)
            if count > 1 and telling[:, d].any():
                state, log_w, log_z = resampled(state, log_w, log_z, u[:, 0, len(self.places) + d])
        return Walk(state, log_w, log_z)

    def _uniform(self, n: int, count: int, generator: Generator) -> Float[Tensor, "n s e"]:
        """The particles' numbers: two of each column, what is drawn and where resampling begins, and one more."""
        return strata(n, count, 2 * len(self.places) + 1, generator)

    def _last(self, batch: Batch, column: int) -> Float[Tensor, "n v"]:
        """P(v of the column | what is known of the others) -> (n, V) float64.

        Read off, where the column is the last of the order (averaged over particles where others are unknown) or the
        order is any; else the shares of particles that are drawn in it.
        """
        cells = self.find(batch)
        cells[:, column] = self.sizes[column]
        if self.any_order:
            return self._given(cells, column).exp()
        last = column == self.order[-1]
        whole = (cells < self.sizes).sum(1) == len(self.places) - 1
        out = torch.zeros(len(cells), self.places[column].size, dtype=torch.float64)
        for some, count in ((whole & last, 1), (~(whole & last), PARTICLES)):
            u = self._uniform(1, count, Generator().manual_seed(mixed("particles")))
            for rows in some.nonzero()[:, 0].split(max(ROWS // count, 1)):
                walk = self._walk(cells[rows], {}, u, stop=column if last else None)
                share = walk.log_w.softmax(1)
                if last:
                    log_p = self._column(walk.cells.flatten(0, 1), column).unflatten(0, (len(rows), count))
                    out[rows] = (share[:, :, None] * log_p.exp()).sum(1)
                else:
                    out[rows] = out[rows].scatter_add(1, walk.cells[:, :, column], share)
        return out

    def _odds(self, cells: Cells) -> Float[Tensor, "d n"]:
        """log P(others) - log P(all) of places known whole -> (D, n)."""
        out = torch.empty(len(self.places), len(cells), dtype=torch.float64)
        for rows in torch.arange(len(cells)).split(max(ROWS // CANDIDATES, 1)):
            out[:, rows] = self._odds_of(cells[rows])
        return out

    def _odds_of(self, cells: Cells) -> Float[Tensor, "d n"]:
        n = len(cells)
        there = cells.to(self.device)
        found = self._conditionals(there, there).cpu().double()
        out = -found
        for i, d in enumerate(self.order[:-1]):
            later = list(self.order[i + 1 :])
            p = self._column(cells, d).exp()
            if p.shape[1] <= CANDIDATES:
                place, log_w = torch.arange(p.shape[1]).expand(n, -1), p.log()
            else:
                at = (torch.arange(CANDIDATES) + 0.5) / CANDIDATES
                place = at_share(p[:, None].expand(-1, CANDIDATES, -1), at.expand(n, -1))
                log_w = torch.full(place.shape, -math.log(CANDIDATES), dtype=torch.float64)
            count = place.shape[1]
            state = cells[:, None].expand(n, count, -1).clone()
            state[:, :, d] = place
            for e in later:
                log_p = self._column(state.flatten(0, 1), e)
                log_w = log_w + of_cell(log_p, cells[:, e].repeat_interleave(count)).unflatten(0, (n, count))
            out[d] = torch.logsumexp(log_w, 1) - found[[d, *later]].sum(0)
        return out
