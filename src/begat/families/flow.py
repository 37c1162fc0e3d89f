"""Normalizing flow: invertible maps of the unit cube of ranks, whose density is the product of their slopes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn

from begat.core import Batch, Label, Objective, Spec
from begat.errors import Impossible
from begat.families.over_places import OverPlaces, PerRow, Regions, lanes
from begat.leaves.cube import Cube, Found
from begat.leaves.places import Places
from begat.maths.bijections import Bijection
from begat.random import Noise

Points = Float[Tensor, "n d"]
Known = Bool[Tensor, "n d"]
Class = Int[Tensor, " n"]
FARTHEST = 2.0**-24
"""How near to 0 and 1 a rank is taken for where its normal score is asked."""
ROWS = 8192
"""Rows, each draw one, that go through the maps at a time."""


@runtime_checkable
class Step(Protocol):
    """What gives the maps of the columns that one transformation moves: nets.couplings."""

    moved: Int[Tensor, " m"]
    groups: list[Int[Tensor, " _"]]

    def __call__(self, u: Tensor, known: Tensor | None, label: Tensor | None) -> Float[Tensor, "p m n"]: ...


@runtime_checkable
class Net(Protocol):
    """The transformations in their order."""

    def __iter__(self) -> Iterator[Step]: ...


class Flow(OverPlaces):
    """P(x) = P(y) prod_d p0(x_d) E f(u | y), u the ranks of the cells (leaves.ranks), f a density of the unit cube.

    f is the density of what the inverse of T makes of uniform numbers, T a chain of maps of single columns whose
    parameters follow from other columns, the class y, and cells that are known in advance, which no map moves:

        log f(u_U | u_K, y) = sum over steps and moved, unknown columns of log dT / du.

    The loss is -log f at uniform numbers within the pieces of a row, of which in a share `hide` a random part is known.
    With nothing known f is the joint. It is exact where every cell is a point; pieces are integrated over by `samples`
    uniform draws, log 1/S sum_s f(u_s) <= log E f in the mean (Hoogeboom, Cohen and Tomczak, "Learning discrete
    distributions by dequantization", 2020, equation 6). f with cells known is but a proposal: what is asked of a row of
    which something is unknown is answered by draws of it that are weighted by the joint,

        P(u_K) = E_(u_U ~ f(. | u_K)) f(u_U, u_K) / f(u_U | u_K).

    Rezende and Mohamed, "Variational inference with normalizing flows" (2015), equation 5; Durkan et al., "Neural
    spline flows" (2019), section 3; conditions as of Li, Akbar and Oliva, "ACFlow" (2020), section 3.

    places: of all columns. label: the column of the class, if any. bijection: the maps.
    """

    def __init__(
        self, spec: Spec, places: Sequence[Places], net: Net, label: int | None, bijection: Bijection, *,
        hide: float, samples: int,
    ):  # fmt: skip
        super().__init__(spec, places, net)
        self.cube, self.bijection, self.hide, self.samples = Cube(places, label), bijection, hide, samples

    net: Net

    # objective ----------------------------------------------------------------------------------------------------
    def objectives(self) -> tuple[Objective, ...]:
        """One player, all maps; its loss is -log f of a row's ranks, nats over independent columns, of batches
        (low, width) of pieces with their classes."""
        assert isinstance(self.net, nn.Module)
        return (Objective("maps", self.net, self._loss),)

    def _loss(self, batch: Batch, noise: Noise) -> PerRow:
        low, width = batch.x
        count = low.shape[1]
        some, part, each = noise.uniform(1), noise.uniform(1), noise.uniform(count)
        u = low + width * noise.uniform(count)
        known = (some < self.hide) & (each < part) if self.training and self.hide else None
        return -self._log_f(u, known, batch.cond)

    # the maps -----------------------------------------------------------------------------------------------------
    def _log_f(self, u: Points, known: Known | None, label: Label | None) -> PerRow:
        """log f(unknown ranks | known ones, class) -> (n,)."""
        x, total = u.T.contiguous(), torch.zeros(len(u), dtype=u.dtype, device=u.device)
        stays = None if known is None else known.T.contiguous()
        for step in self.net:
            x, log_slope = self._moved(step, x, stays, label)
            total = total + log_slope.sum(0)
        return total

    def _moved(
        self, step: Step, x: Tensor, stays: Tensor | None, label: Label | None
    ) -> tuple[Float[Tensor, "d n"], Float[Tensor, "m n"]]:
        """One transformation of ranks (D, n): what it makes of them, and the log slopes of the columns it moves."""
        here = step.moved
        y, log_slope = self.bijection.forward(x[here], step(x, stays, label))
        if stays is not None:
            y, log_slope = torch.where(stays[here], x[here], y), torch.where(stays[here], 0.0, log_slope)
        return x.index_copy(0, here.to(x.device), y), log_slope

    def _pushed(self, e: Points, u: Points, known: Known | None, label: Label | None) -> Points:
        """Uniform numbers through the inverse maps, with known ranks as they are in u -> (n, D)."""
        if known is not None:
            e = torch.where(known, u, e)
        x, stays = e.T.contiguous(), None if known is None else known.T.contiguous()
        for step in reversed(list(self.net)):
            for group in step.groups:
                at = torch.isin(step.moved, group).nonzero()[:, 0]
                made = self.bijection.inverse(x[group], step(x, stays, label)[:, at])
                made = made if stays is None else torch.where(stays[group], x[group], made)
                x = x.index_copy(0, group.to(x.device), made)
        return x.T

    def _run(self, ask: Callable[..., Tensor], first_part: Tensor, *others: Tensor | None) -> Tensor:
        """What `ask` says of many rows, some at a time, where the network lies."""
        n, there, parts = len(first_part), self.device, (first_part, *others)
        out = []
        for first in range(0, n, ROWS):
            rows = lanes(first, n, ROWS)
            piece = [None if p is None else p[rows].to(there) for p in parts]
            out.append(ask(*piece)[: min(ROWS, n - first)].cpu())
        return torch.cat(out) if out else torch.zeros(0)

    # cells and ranks ----------------------------------------------------------------------------------------------
    def found(self, batch: Batch) -> Found:
        """Where what is known of these rows lies."""
        return self.cube.find(batch, self.find(batch))

    # sampler ------------------------------------------------------------------------------------------------------
    def sample(self, n: int, cond: Label | None = None, *, generator: Generator) -> Batch:
        """n rows. Conditions are cells like others: `complete`."""
        return self.complete(self.nothing(n), generator=generator)

    def complete(self, batch: Batch, asked: Regions | None = None, *, generator: Generator) -> Batch:
        """The batch with every unknown cell drawn given what is known, unknown cells in their regions.

        Exact draws of the joint where nothing but the class is known; else one of `samples` draws by its weight, exact
        as they grow in number. A row without any probability is an EvidenceError.
        """
        asked = dict(asked or {})
        found = self.found(batch)
        bound = self._bound(found.cells, asked)[:, self.cube.columns]
        u, label = torch.zeros(found.low.shape), found.label.clone()
        told = (found.known | bound).any(1)
        if self.cube.label is not None:
            plain = ~(bound.any(1) & (label < 0))
            label[plain] = self.cube.classes(
                found.rows(plain.nonzero()[:, 0]), self._log_classes, asked.get(self.cube.label), generator=generator
            )
        free = (~told).nonzero()[:, 0]
        if len(free):
            e = torch.rand(len(free), u.shape[1], generator=generator)
            u[free] = self._run(self._pushed, e, u[free], None, None if self.cube.label is None else label[free])
        for rows in told.nonzero()[:, 0].split(max(ROWS // self.samples, 1)) if told.any() else ():
            noise = torch.rand(len(rows), self.samples, 2 * u.shape[1], generator=generator)
            here, each = found.rows(rows)._replace(label=label[rows]), None
            if self.cube.label is not None:  # where regions tell of an unknown class, each draw has one of its own
                each = self.cube.prior(label[rows], self.samples, asked.get(self.cube.label), generator=generator)
            ranks, log_w = self._weighed(here, bound[rows], asked, noise, generator, each)
            if (lost := ~log_w.amax(1).isfinite()).any():
                raise Impossible(int(rows[lost][0]))
            pick = torch.multinomial(log_w.softmax(1), 1, generator=generator)[:, 0]
            u[rows] = ranks[torch.arange(len(rows)), pick]
            if each is not None:
                label[rows] = each[torch.arange(len(rows)), pick]
        return self.cube.write(batch, found, u, label, asked, generator=generator)

    # the base -----------------------------------------------------------------------------------------------------
    def encode(self, batch: Batch) -> Points:
        """The normal scores of what the maps make of the middles of the pieces of rows -> (n, D); of a row whose class
        is unknown under the most probable."""
        found, label = self.found(batch), None
        if self.cube.label is not None:
            label, free = found.label.clone(), (found.label < 0).nonzero()[:, 0]
            if len(free):
                label[free] = self._log_classes(found.rows(free)).argmax(0)
        e = self._run(self._pulled, found.low + 0.5 * found.width, label)
        return torch.special.ndtri(e.double().clamp(FARTHEST, 1 - FARTHEST)).float()

    def _pulled(self, u: Points, label: Label | None) -> Points:
        """Ranks through the maps: what `_pushed` makes them of -> (n, D)."""
        x = u.T.contiguous()
        for step in self.net:
            x, _ = self._moved(step, x, None, label)
        return x.T

    def decode(self, batch: Batch, z: Points, *, generator: Generator) -> Batch:
        """The rows that the inverse maps make of normal scores (n, D), of their classes, drawn where they are unknown;
        nothing else of them is known."""
        found = self.found(batch)
        label = found.label
        if self.cube.label is not None:
            label = self.cube.classes(found, self._log_classes, None, generator=generator)
        u = self._run(self._pushed, torch.special.ndtr(z), z, None, None if self.cube.label is None else label)
        return self.cube.write(batch, found, u, label, {}, generator=generator)

    # density ------------------------------------------------------------------------------------------------------
    def log_prob(self, batch: Batch) -> PerRow:
        """log P(x), or of what is known of it -> (n,) float64: exact of points, else a bound."""
        found = self.found(batch)
        return self._log_known(found) + found.log_own

    def log_joint(self, batch: Batch, column: int) -> Float[Tensor, "v n"]:
        """log P(class, the other columns) of every class -> (V, n) float64; `column` is that of the class."""
        found = self.found(batch)
        return self._log_classes(found) + found.log_own

    def log_posterior(self, batch: Batch, column: int) -> Float[Tensor, "v n"]:
        """log P(class | the other columns) -> (V, n) float64, by Bayes' rule."""
        joint = self._log_classes(self.found(batch))
        return joint - torch.logsumexp(joint, 0)

    def _log_classes(self, found: Found) -> Float[Tensor, "v n"]:
        """log P(class) E f(known ranks | class) of every class -> (V, n)."""
        return self.cube.log_classes(found, self._log_ranks)

    def _log_known(self, found: Found) -> PerRow:
        """log P(known cells) - sum of log p0 of those that are no class -> (n,); of any class where it is unknown."""
        return self.cube.log_known(found, self._log_ranks)

    def _log_ranks(self, found: Found) -> PerRow:
        """log E f(known ranks | class) -> (n,): of one draw where all are points, else a bound by `samples`."""
        out = torch.empty(len(found.label), dtype=torch.float64)
        points = (found.known & (found.width <= 0)).all(1)
        for some, count in ((points, 1), (~points, self.samples)):
            for rows in some.nonzero()[:, 0].split(max(ROWS // count, 1)) if some.any() else ():
                here = found.rows(rows)
                _, log_w = self._weighed(here, torch.zeros_like(here.known), {}, here.even(count), None)
                out[rows] = torch.logsumexp(log_w, 1) - math.log(count)
        return out

    def _weighed(
        self, found: Found, bound: Known, asked: Regions, noise: Float[Tensor, "n s e"], rng: Generator | None,
        classes: Int[Tensor, "n s"] | None = None,
    ) -> tuple[Float[Tensor, "n s d"], Float[Tensor, "n s"]]:  # fmt: skip
        """Ranks of rows whose class is known, and their log weights f(all) / f(unknown | known).

        noise: uniform numbers (n, S, 2 D or more), within the pieces and for what is unknown. A cell with a region is
        drawn from p0 in it, and then is one of the known ones. classes: of the draws, if they have their own.
        """
        (n, d), count = found.low.shape, noise.shape[1]
        u = found.low[:, None] + found.width[:, None] * noise[:, :, :d]
        log_w, known = torch.zeros(n, count, dtype=torch.float64), found.known
        if bound.any():
            assert rng is not None
            u, log_w = u.clone(), log_w.clone()
            for i in bound.any(0).nonzero()[:, 0].tolist():
                rows = bound[:, i].nonzero()[:, 0]
                u[rows, :, i], log_p = self._regional(i, found.cells[rows, self.cube.columns[i]], asked, count, rng)
                log_w[rows] += log_p[:, None]
            known = known | bound
        label = None if self.cube.label is None else found.label.repeat_interleave(count)
        label = label if classes is None else classes.reshape(-1)
        flat, stays = u.reshape(n * count, d), known.repeat_interleave(count, 0)
        if not bool(known.all()):
            e = noise[:, :, d : 2 * d].reshape(n * count, d)
            flat = self._run(self._pushed, e, flat, stays, label)
            log_w = log_w - self._run(self._log_f, flat, stays, label).double().view(n, count)
        log_w = log_w + self._run(self._log_f, flat, None, label).double().view(n, count)
        return flat.view(n, count, d), log_w

    def _regional(
        self, i: int, cell: Class, asked: Regions, count: int, rng: Generator
    ) -> tuple[Float[Tensor, "n s"], PerRow]:
        """Ranks drawn from p0 within the region of a column -> (n, S), and the log of its mass (n,)."""
        d, ranks = self.cube.columns[i], self.cube.ranks[i]
        law = self.places[d]
        p = self._shares(d, cell, asked) * law.log_base.exp()
        mass = p.sum(1)
        possible = torch.where(mass[:, None] > 0, p, 1.0)
        place = torch.multinomial(possible, count, True, generator=rng).reshape(-1)
        cells = self.nothing(len(place))
        law.write(law.draw(place, asked.get(d), generator=rng), cells.x[0], cells.x[1])
        low, width = ranks.find(Batch(cells.x, (None, None)), place)
        u = low + width * torch.rand(len(low), generator=rng, dtype=torch.float64)
        return u.float().view(len(cell), count), mass.log()

    # what is odd --------------------------------------------------------------------------------------------------
    def expected(self, batch: Batch, column: int, numbers: Float[Tensor, " v"]) -> PerRow:
        """E[numbers of the column's place | the other columns] -> (n,)."""
        i, out = self.cube.columns.index(column), torch.empty(len(batch), dtype=torch.float64)
        found = self.found(batch).without(i)
        for rows in torch.arange(len(batch)).split(max(ROWS // self.samples, 1)):
            here = found.rows(rows)
            u, log_w = self._weighed(here, torch.zeros_like(here.known), {}, here.even(self.samples), None)
            place = self.cube.ranks[i].place(u[:, :, i].reshape(-1)).view(len(rows), -1)
            out[rows] = (log_w.softmax(1) * numbers[place]).sum(1)
        return out

    def surprise(self, batch: Batch) -> Float[Tensor, "d n"]:
        """-log P(x_d | all other columns) = log P(others) - log P(all) -> (D, n) float64; 0 for unknown cells."""
        found = self.found(batch)
        out, whole = torch.zeros(len(self.places), len(batch), dtype=torch.float64), self._log_known(found)
        for i, d in enumerate(self.cube.columns):
            rows = found.known[:, i].nonzero()[:, 0]
            own = self.places[d].log_own(batch.rows(rows), found.cells[rows, d])
            out[d, rows] = self._log_known(found.rows(rows).without(i)) - whole[rows] - own
        if self.cube.label is not None:
            rows = (found.label >= 0).nonzero()[:, 0]
            free = found.rows(rows)._replace(label=torch.full((len(rows),), -1))
            out[self.cube.label, rows] = self._log_known(free) - whole[rows]
        return out
