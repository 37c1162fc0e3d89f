"""A circuit over what a coupling leaves of the columns that lean on another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from begat.core import Batch, Label, Model
from begat.errors import Impossible
from begat.families.circuit import Circuit, Regions
from begat.families.coupling import Coupling
from begat.leaves.places import Drawn

PerRow = Float[Tensor, " n"]
Place = Int[Tensor, " n"]
Index = Int[Tensor, " _"]
Logs = Float[Tensor, " _"]
GUESSES = 65_536
"""Rows with a place put in for the hub that are asked at a time."""
MINUTE = -25.0
"""Log of the share of the most probable place's probability below which a place is left out."""


class Guesses(NamedTuple):
    """Rows with places put in for their hub: row and place of each -> (m,), log P(hub in the place, known cells)."""

    row: Index
    place: Index
    log_p: Logs


class Coupled(Model):
    """A circuit over the columns r of a coupling: log P(x) = log P(r), for the coupling has volume one.

    All that is asked of a row whose hub is known is asked of the circuit. Where it is not known, but something of a
    column that leans on it is, the row is asked with each place v of the hub in turn, and

        P(known cells) = sum_v P(v, r(v)),    P(a | known cells) = sum_v P(v | known cells) P(a | v, r(v)):

    exact, at the price of as many questions as there are places that the row can be in.
    """

    def __init__(self, circuit: Circuit, coupling: Coupling):
        super().__init__()
        self.circuit, self.coupling, self.spec, self.laws = circuit, coupling, circuit.spec, circuit.laws

    # sampler ------------------------------------------------------------------------------------------------------
    def sample(self, n: int, cond: Label | None = None, *, generator: Generator) -> Batch:
        """n rows. Conditions are cells like others: `complete`."""
        return self.coupling.together(self.circuit.sample(n, cond, generator=generator))

    def complete(self, batch: Batch, asked: Regions | None = None, *, generator: Generator) -> Batch:
        """The batch with every unknown cell drawn from P(unknown | known, unknown cells in their regions).

        asked: regions by column. Known cells stay. A row without any probability is an EvidenceError.
        """
        asked, places, settled = asked or {}, self.coupling.places, batch
        lost = self._lost(batch, asked)
        for guess in self._guesses(batch, asked, lost):
            u = torch.rand(len(guess.row), generator=generator, dtype=torch.float64).clamp(1e-300, 1 - 1e-16)
            rows, chosen = _largest(guess, guess.log_p - (-u.log()).log())  # with Gumbel's noise: a draw from P
            possible = ~torch.isneginf(_most(guess.log_p, guess.row, len(batch))[rows])
            if not possible.all():
                raise Impossible(int(rows[~possible][0]))
            settled = self._put(settled, rows, places.draw(chosen, asked.get(self.coupling.hub), generator=generator))
        return self._made(batch, settled, asked, lambda b, r: self.circuit.complete(b, r, generator=generator))

    # density ------------------------------------------------------------------------------------------------------
    def log_prob(self, batch: Batch, asked: Regions | None = None) -> PerRow:
        """log P(x), or log P(x, unknown cells in their regions) -> (n,) float64; what else is unknown is summed out."""
        asked = asked or {}
        out = torch.zeros(len(batch), dtype=torch.float64)
        lost = self._lost(batch, asked)
        rows = self._others(batch, lost)
        if len(rows) or not len(batch):
            out[rows] = self._each(batch.rows(rows), asked, self.circuit.log_prob)
        for guess in self._guesses(batch, asked, lost):
            some = guess.row.unique()
            out[some] = _log_sum(guess.log_p, guess.row, len(batch))[some]
        return out

    def log_joint(self, batch: Batch, column: int) -> Float[Tensor, "v n"]:
        """log P(x_column at each level, the other columns), of a column of levels -> (V, n) float64."""
        others = self._without(batch, column)
        return self.log_posterior(others, column) + self.log_prob(others)

    def log_posterior(self, batch: Batch, column: int) -> Float[Tensor, "v n"]:
        """log P(x_column at each level | the other columns), of a column of levels -> (V, n) float64."""
        others = self._without(batch, column)
        row, log_p, found = self._answers(others, lambda b: self.circuit.log_posterior(b, column))
        out = torch.stack([_log_sum(log_p + each, row, len(batch)) for each in found])
        if (lost := torch.isneginf(out).all(0)).any():
            out[:, lost] = self.circuit.log_posterior(_blank(batch), column)
        return out

    def expected(self, batch: Batch, column: int, numbers: Float[Tensor, " v"]) -> PerRow:
        """E[numbers of the column's place | the other columns] -> (n,), with what the column leans by added."""
        others, coupling = self._without(batch, column), self.coupling
        if column not in coupling.columns:
            by = torch.zeros(coupling.places.size, dtype=torch.float64)
        else:
            by = coupling.shift[:, coupling.columns.index(column)]

        def ask(b: Batch) -> Tensor:
            place = coupling.places.find(b)
            lean = by[place.clamp(max=len(by) - 1)]
            if (unknown := (place >= len(by)).nonzero()[:, 0]).numel():
                lean[unknown] = self.circuit.expected(b.rows(unknown), coupling.hub, by)
            return self.circuit.expected(b, column, numbers) + lean

        row, log_p, found = self._answers(others, ask)
        out = torch.zeros(len(batch), dtype=torch.float64).index_add_(0, row, log_p.exp() * found)
        if (lost := torch.bincount(row, minlength=len(batch)) == 0).any():
            out[lost] = self.expected(_blank(batch), column, numbers)
        return out

    def surprise(self, batch: Batch) -> Float[Tensor, "d n"]:
        """-log P(x_d | all other columns) = log P(others) - log P(all) -> (D, n) float64; 0 for unknown cells."""
        hub, lost = self.coupling.hub, self._lost(batch, {})
        out = self.circuit.surprise(self.coupling.apart(batch))
        for d, law in enumerate(self.laws):
            others = self._without(batch, d)
            rows = lost if d != hub else self._lost(others, {})
            rows = rows[law.places.find(batch)[rows] < law.places.size]
            if len(rows):
                some = batch.rows(rows)
                odd = self.log_prob(others.rows(rows)) - self.log_prob(some)
                out[d, rows] = torch.where(odd.isnan(), out[d, rows], odd)
        return out

    def most_probable(self, batch: Batch, asked: Regions | None = None) -> Batch:
        """The batch with what is unknown at argmax over states and cells together of P(unknown, states | known).

        Places of an unknown hub that have less than exp(MINUTE) of the best place's probability are not tried.
        """
        asked, places, settled = asked or {}, self.coupling.places, batch
        lost = self._lost(batch, asked)
        for guess in self._guesses(batch, asked, lost):
            tried = self._put(batch.rows(guess.row), slice(None), places.representative(guess.place))
            score = self._each(tried, asked, lambda b, r: self.circuit.best(b, r)[1])
            rows, chosen = _largest(guess, torch.where(torch.isneginf(guess.log_p), guess.log_p, score))
            settled = self._put(settled, rows, places.representative(chosen))
        return self._made(batch, settled, asked, lambda b, r: self.circuit.best(b, r)[0])

    # rows whose hub is known --------------------------------------------------------------------------------------
    def _each(self, batch: Batch, asked: Regions, ask: Callable[[Batch, Regions], Tensor]) -> Tensor:
        """What the circuit says of rows (..., n) whose hub is known, if it matters."""
        apart = self.coupling.apart(batch)
        return self._by_region(self.coupling.places.find(batch), asked, lambda rows, r: ask(apart.rows(rows), r))

    def _made(self, batch: Batch, settled: Batch, asked: Regions, make: Callable[[Batch, Regions], Batch]) -> Batch:
        """The rows as the circuit completes them, with the known cells as they were."""
        wide = batch.x[0].shape[1]

        def cells(b: Batch, r: Regions) -> Tensor:
            made = self.coupling.together(make(b, r))
            return torch.cat([made.x[0], made.x[1].double()], 1).T

        table = self._each(settled, asked, cells).T
        return batch.filled((table[:, :wide], table[:, wide:].to(batch.x[1].dtype)))

    # rows whose hub is not known ----------------------------------------------------------------------------------
    def _without(self, batch: Batch, column: int) -> Batch:
        return self.laws[column].places.part.without(0, batch)

    def _lost(self, batch: Batch, asked: Regions) -> Index:
        """The rows whose hub is unknown while something is known of a column that leans on it."""
        unknown = self.coupling.places.find(batch) >= self.coupling.places.size
        if not self.coupling.leaned(asked) and batch.known[0] is not None:
            unknown &= batch.known[0][:, list(self.coupling.values)].any(1)
        return unknown.nonzero()[:, 0]

    def _others(self, batch: Batch, lost: Index) -> Index:
        rest = torch.ones(len(batch), dtype=torch.bool)
        rest[lost] = False
        return rest.nonzero()[:, 0]

    def _answers(self, batch: Batch, ask: Callable[[Batch], Tensor]) -> tuple[Index, Logs, Tensor]:
        """What the circuit says of rows, guesses in place of a hub that matters: row of each -> (m,), log P(guess |
        known) -> (m,), what it says -> (..., m)."""
        lost = self._lost(batch, {})
        rows = self._others(batch, lost)
        row, log_p, found = [rows], [torch.zeros(len(rows), dtype=torch.float64)], []
        found.append(ask(self.coupling.apart(batch.rows(rows))))
        for guess in self._guesses(batch, {}, lost):
            share = guess.log_p - _log_sum(guess.log_p, guess.row, len(batch))[guess.row]
            kept = share > MINUTE
            row.append(guess.row[kept])
            log_p.append(share[kept])
            tried = batch.rows(guess.row[kept])
            tried = self._put(tried, slice(None), self.coupling.places.representative(guess.place[kept]))
            found.append(ask(self.coupling.apart(tried)))
        return torch.cat(row), torch.cat(log_p), torch.cat(found, -1)

    def _put(self, batch: Batch, rows: Index | slice, drawn: Drawn) -> Batch:
        """The batch with the hub's cells of these rows known to be these."""
        part = self.coupling.places.part
        x = [each.clone() for each in batch.x]
        known = [
            torch.ones_like(c, dtype=torch.bool) if k is None else k.clone()
            for c, k in zip(x, batch.known, strict=True)
        ]
        if part.values:
            x[0][rows, part.values[0]], known[0][rows, part.values[0]] = drawn.value.to(x[0].dtype), drawn.code == 0
        if part.codes:
            x[1][rows, part.codes[0]], known[1][rows, part.codes[0]] = drawn.code.to(x[1].dtype), True
        return batch.having(x=tuple(x), known=tuple(known))

    def _guesses(self, batch: Batch, asked: Regions, lost: Index) -> Iterator[Guesses]:
        """The places of the hub in these rows that can matter, all of a row's in one piece.

        A place whose bound, the product of the largest ratios under any state, is below the best place's true
        probability by MINUTE can not.
        """
        places, circuit, coupling = self.coupling.places, self.circuit, self.coupling
        inside = torch.ones(places.size, dtype=torch.float64)
        if coupling.hub in asked:
            inside = places.shares(asked[coupling.hub])
        # Regions of columns that lean move with the place: without them the bounds are bounds still.
        tables = circuit.tables({d: r for d, r in asked.items() if d not in coupling.columns})
        peak = [table.amax(1).double().log() for table in tables]
        own = places.log_base + inside.log()
        for some in lost.split(max(GUESSES // places.size, 1)):
            part = batch.rows(some)
            rows, place = circuit.find(part), torch.arange(places.size).repeat(len(some))
            row = torch.arange(len(some)).repeat_interleave(places.size)
            tried = coupling.apart(self._put(part.rows(row), slice(None), places.representative(place)))
            log_p, within = own[place], torch.zeros(len(some), dtype=torch.float64)
            number = rows[row, coupling.hub] > places.size
            log_p = torch.where(number & (place >= places.intervals), -torch.inf, log_p)
            cells = rows[row]
            cells[:, coupling.hub] = place
            for d, law in enumerate(circuit.laws):
                if d in coupling.columns:
                    cells[:, d] = law.places.find(tried)
                    log_p = log_p + law.places.log_own(tried, cells[:, d])
                elif d != coupling.hub:
                    within += law.places.log_own(part, rows[:, d])
            log_p = log_p + within[row]
            leaned = (coupling.hub, *coupling.columns)
            rest = sum((peak[d][rows[:, d]] for d in range(len(tables)) if d not in leaned), torch.zeros(len(some)))
            bound = log_p + rest[row] + sum(peak[d][cells[:, d]] for d in leaned)
            highest = _most(bound, row, len(some))[row]
            true = torch.full_like(log_p, -torch.inf)
            kept = bound >= highest + MINUTE  # -inf >= -inf keeps a place of a row that none is possible in
            true[kept] = log_p[kept] + self._ratio(cells[kept], place[kept], asked)
            left = ~kept & (bound > _log_sum(true, row, len(some))[row] + MINUTE)
            true[left] = log_p[left] + self._ratio(cells[left], place[left], asked)
            kept |= left
            yield Guesses(some[row[kept]], place[kept], true[kept])

    def _ratio(self, cells: Int[Tensor, "m d"], place: Index, asked: Regions) -> Logs:
        if not len(cells):
            return torch.zeros(0, dtype=torch.float64)
        return self._by_region(place, asked, lambda rows, regions: self.circuit.log_ratio(cells[rows], regions))

    def _by_region(self, place: Index, asked: Regions, ask: Callable[[Any, Regions], Tensor]) -> Tensor:
        """What the circuit says of rows with the hub in these places, (..., n), asked for at once where their regions
        are the same to it."""
        if not self.coupling.leaned(asked) or not len(place):
            return ask(slice(None), asked)
        out: Tensor | None = None
        for v in place.unique().tolist():
            rows = (place == v).nonzero()[:, 0]
            try:
                said = ask(rows, self.coupling.regions(asked, v))
            except Impossible as error:
                raise Impossible(int(rows[error.row])) from None
            out = said.new_zeros((*said.shape[:-1], len(place))) if out is None else out
            out[..., rows] = said
        assert out is not None
        return out


def _blank(batch: Batch) -> Batch:
    """One row of which nothing is known."""
    first = batch.rows(slice(0, 1))
    return first.having(known=tuple(torch.zeros_like(x, dtype=torch.bool) for x in first.x))


def _most(values: Logs, row: Index, n: int) -> Logs:
    """The largest value of each row -> (n,); -inf of a row without any."""
    return torch.full((n,), -torch.inf, dtype=torch.float64).scatter_reduce_(0, row, values, "amax")


def _log_sum(values: Logs, row: Index, n: int) -> Logs:
    """log sum exp of the values of each row -> (n,)."""
    most = _most(values, row, n)
    finite = torch.where(most.isfinite(), most, 0.0)
    return finite + torch.zeros_like(finite).index_add_(0, row, (values - finite[row]).exp()).log()


def _largest(guess: Guesses, score: Logs) -> tuple[Index, Index]:
    """The rows of guesses, each once, and the place of the largest score in it."""
    rows, at = guess.row.unique(return_inverse=True)
    best = score == _most(score, at, len(rows))[at]
    chosen = torch.empty(len(rows), dtype=torch.long)
    chosen[at[best]] = guess.place[best]
    return rows, chosen
