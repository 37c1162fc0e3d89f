"""Diffusion: a network learns to take noise out of data, and what it has learnt takes noise to data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from begat.core import Batch, Label, Objective, Spec
from begat.errors import Impossible
from begat.families.over_places import OverPlaces, PerRow, Regions, lanes
from begat.leaves.cube import Cube, Found
from begat.leaves.places import Places
from begat.maths import posterior
from begat.maths.choice import dealt
from begat.maths.ode import SOLVERS, Denoiser, Solver, guided, log_density, ratios
from begat.maths.path import Way
from begat.random import Noise, mixed

Points = Float[Tensor, "n d"]
Known = Bool[Tensor, "n d"]
MOST, LEAST = 80.0, 0.01
"""The largest and the smallest ratio of noise to data. Below it the pieces of the cube are all that is left to know."""
MIDDLE, SPREAD = -0.4, 1.6
"""Mean and deviation of log r that a fit draws: Karras et al. (2022), table 1, for data of deviation 1."""
BLOCKS, TOLD = 32, 0.1
"""Blocks of a column, about, and the weight of the cross entropy of blocks of many numbers; of levels it is 1."""
NAMELESS = 0.1
"""The share of rows whose class the network is not told in a fit."""
LOOKS = 4
"""Ratios at which a held-out row is scored."""
EDGE = 2.0**-22
"""How near to 0 and 1 a rank is taken for where its normal score is asked."""
ROWS = 1024
"""Rows that go through the network at a time: as many as lie in a processor's cache with all their blocks."""
POOL, MOST_DRAWS = 4096, 2**15
"""Rows that are drawn at a time until enough lie in their regions, and draws without a hit after which none will."""


@runtime_checkable
class Net(Protocol):
    """What tilts blocks and mends the mean: nets.denoiser."""

    def __call__(
        self, x: Tensor, r: Tensor, scores: Tensor, known: Tensor | None, label: Tensor | None
    ) -> tuple[Float[Tensor, "n d v"], Float[Tensor, "n d"]]: ...


class Diffusion(OverPlaces):
    """P(x) = P(y) prod_d p0(x_d) E f(z | y) / N(z; 0, I), z normal scores of the ranks of the cells (leaves.cube).

    What a noisy score y_d = z_d + r noise says of its own column is known in closed form: P(z_d in block | y_d) and
    E[z_d | block, y_d] of a normal z_d (maths.posterior), a block a level, a code or neighbouring numbers. The network
    says what the rest of the row does: it tilts the blocks by a, and mends the mean by f,

        P(block | y) = softmax(log P(block | y_d) + a(y, r)),
        D(y, r) = sum P(block | y) E[z_d | block, y_d] - r / sqrt(1 + r^2) f(y, r),

    and nothing at first, where columns are independent. The loss of a row at a random ratio r is the mean square of
    what D misses, in the units of a target on a path (maths.path), and the cross entropy of the blocks, of numbers TOLD
    times (after Dieleman et al., "Continuous diffusion for categorical data", 2022, section 3.2). In a share `hide` of
    the rows a random part of the scores is known and told, and in a tenth the class is not, so that the network
    completes rows and needs no class.

    Draws follow the ODE, or the chain, from noise back to data (maths.ode), `steps` of a solver. A `guidance` w above 1
    exaggerates at every noise level what tells the class from none: no law of the model's, and 1 is none.

    log P is a bound, the difference of two variational bounds, of which that of independent columns is exact,

        log f(z) - log N(z; 0, I) >= int E [ |z - y / (1 + r^2)|^2 - |z - D(y, r)|^2 ] r^-2 d log r,    y = z + r noise,

    (Kingma, Salimans, Poole and Ho, "Variational diffusion models", 2021, equation 17, with SNR = r^-2), over `samples`
    ratios that are evenly spread and between LEAST and MOST, beyond which the model is that of independent columns.
    By `log_ode` it is an estimate (maths.ode.log_density).

    places: of all columns. label: the column of the class, if any.
    """

    def __init__(
        self, spec: Spec, places: Sequence[Places], net: Net, label: int | None, way: Way, solver: Solver, *,
        steps: int, hide: float, samples: int, guidance: float,
    ):  # fmt: skip
        super().__init__(spec, places, net)
        self.cube, self.way, self.solver, self.steps = Cube(places, label), way, solver, steps
        self.hide, self.samples, self.guidance = hide, samples, guidance
        begins, alone = self.cube.blocks(BLOCKS)
        self.register_buffer("told", (TOLD + (1 - TOLD) * alone).float(), persistent=False)
        self.register_buffer("begins", begins.float(), persistent=False)
        self.register_buffer("ends", posterior.edges(begins), persistent=False)

    net: Net
    told: Float[Tensor, " d"]
    begins: Float[Tensor, "d v"]
    ends: Float[Tensor, "d w"]

    # objective ----------------------------------------------------------------------------------------------------
    def objectives(self) -> tuple[Objective, ...]:
        """One player, the network; its loss is the mean over columns of the above, of batches (low, width) of pieces
        with their classes. Of rows that are held out it is minus the bound, by LOOKS ratios each: nats."""
        assert isinstance(self.net, nn.Module)
        return (Objective("denoiser", self.net, self._loss),)

    def _loss(self, batch: Batch, noise: Noise) -> PerRow:
        low, width = batch.x
        count, label = low.shape[1], batch.cond
        if not self.training:
            return torch.stack([self._seen_loss(batch, noise) for _ in range(LOOKS)]).mean(0)
        some, part, each, nameless = noise.uniform(1), noise.uniform(1), noise.uniform(count), noise.uniform()
        z, share, drawn = _score(low + width * noise.uniform(count)), noise.uniform(1), noise.normal(count)
        r = (MIDDLE + SPREAD * torch.special.ndtri(share.clamp(EDGE, 1 - EDGE))).exp().clamp(LEAST, MOST)
        known = (some < self.hide) & (each < part) if self.hide else None
        label = label if label is None else torch.where(nameless < NAMELESS, self._none, label)
        y = z + r * drawn
        log_p, made = self._given(y, r, z, known, label)
        missed = self.way.given(made, y, r) - self.way.at(z, drawn, r)[1]
        block = torch.searchsorted(self.begins, torch.special.ndtr(z).T.contiguous(), right=True).T - 1
        missed = missed**2 - self.told * log_p.gather(2, block.clamp(min=0)[:, :, None])[:, :, 0]
        return missed.mean(1) if known is None else torch.where(known, 0.0, missed).mean(1)

    def _seen_loss(self, batch: Batch, noise: Noise) -> PerRow:
        """Minus the bound of f by one ratio, nats -> (n,)."""
        low, width = batch.x
        z = _score(low + width * noise.uniform(low.shape[1]))
        r = (math.log(LEAST) + math.log(MOST / LEAST) * noise.uniform(1)).exp()
        return -math.log(MOST / LEAST) * self._gain(z, noise.normal(low.shape[1]), r, None, batch.cond)

    @property
    def _none(self) -> int:
        """The label that stands for none."""
        return 0 if self.cube.label is None else self.places[self.cube.label].size

    def _given(
        self, y: Points, r: Float[Tensor, "n 1"], scores: Points, known: Known | None, label: Label | None
    ) -> tuple[Float[Tensor, "n d v"], Points]:
        """log P(block | y) of every block, and D(y, r) -> (n, D, V), (n, D)."""
        size = (1 + r * r).sqrt()
        tilt, mend = self.net(y / size, r, scores, known, label)
        log_own, inside = posterior.blocks(y, r, self.ends)
        log_p = (log_own + tilt).log_softmax(2)
        return log_p, (log_p.exp() * inside).sum(2) - r / size * mend

    # the denoiser -------------------------------------------------------------------------------------------------
    def _denoiser(self, scores: Points, known: Known | None, label: Label | None) -> Denoiser:
        """D(y, r) of these rows; it gives back what is known."""

        def denoise(y: Points, r: Tensor) -> Points:
            data = self._given(y, r.to(y).expand(len(y), 1), scores, known, label)[1]
            return data if known is None else torch.where(known, scores, data)

        return denoise

    def _drawn(
        self, noise: Points, scores: Points, known: Known | None, label: Label | None, rng: Generator | None
    ) -> Points:
        """Scores that the solver makes of normal noise (n, D), those that are known as they are. Without a generator
        they are of the law that was learnt, by a solver that draws nothing: no guidance, and no chain."""
        there, out = self.device, []
        levels = ratios(MOST, LEAST, self.steps).float()
        for first in range(0, len(noise), ROWS):
            rows = lanes(first, len(noise), ROWS)
            z, s, k, c = (None if t is None else t[rows].to(there) for t in (noise, scores, known, label))
            assert z is not None and s is not None
            denoise = self._denoiser(s, k, c)
            if rng is not None and self.guidance != 1 and c is not None:
                denoise = guided(denoise, self._denoiser(s, k, torch.full_like(c, self._none)), self.guidance)
            y = (1 + MOST**2) ** 0.5 * z
            if k is not None:
                y = torch.where(k, s + MOST * z, y)
            y = (self.solver if rng is not None else SOLVERS["dpm"]).run(denoise, y, levels, rng)
            out.append(denoise(y, levels[-1])[: min(ROWS, len(noise) - first)].cpu())
        return torch.cat(out) if out else noise

    # sampler ------------------------------------------------------------------------------------------------------
    def found(self, batch: Batch) -> Found:
        """Where what is known of these rows lies."""
        return self.cube.find(batch, self.find(batch))

    def sample(self, n: int, cond: Label | None = None, *, generator: Generator) -> Batch:
        """n rows. Conditions are cells like others: `complete`."""
        return self.complete(self.nothing(n), generator=generator)

    def complete(self, batch: Batch, asked: Regions | None = None, *, generator: Generator) -> Batch:
        """The batch with every unknown cell drawn given what is known, unknown cells in their regions.

        Known cells are told to the network; an unknown class is drawn first where nothing else is known, and by Bayes'
        rule at the end where something is. What has a region is drawn until it lies there, rows with the same evidence
        together: EvidenceError where none of MOST_DRAWS draws in a row did.
        """
        asked, found = dict(asked or {}), self.found(batch)
        cells, label = found.cells, self.cube.label
        bound = self._bound(cells, asked)
        u, classes = torch.zeros(found.low.shape), found.label.clone()
        if label is not None:
            first = ~found.known.any(1) & ~bound[:, self.cube.columns].any(1)
            drawn = self.cube.classes(found.rows(first), self._log_classes, asked.get(label), generator=generator)
            classes[first] = drawn
            bound[first, label] = False
        for d in bound.any(0).nonzero()[:, 0].tolist():
            possible = (self._shares(d, cells[:, d], asked) * self.places[d].log_base.exp()).sum(1) > 0
            if (lost := bound[:, d] & ~possible).any():
                raise Impossible(int(lost.nonzero()[0, 0]))
        told = torch.cat([found.low, found.width, classes[:, None].float(), bound.float()], 1)
        _, group = told.unique(dim=0, return_inverse=True)
        waiting, idle = torch.arange(len(batch)), torch.zeros(int(group.max()) + 1 if len(group) else 0)
        opening = True
        while len(waiting):
            many = waiting if opening or not bound[waiting].any() else waiting.repeat(max(POOL // len(waiting), 1))
            opening = False
            made, of = self._completed(found.rows(many)._replace(label=classes[many]), generator)
            hits = self._fits(made, of, cells[many], bound[many], asked, generator).nonzero()[:, 0]
            row, hit = dealt(group[waiting], group[many[hits]])
            u[waiting[row]], classes[waiting[row]] = made[hits[hit]], of[hits[hit]]
            drawn = torch.bincount(group[many], minlength=len(idle)).float()
            idle = torch.where(torch.bincount(group[many[hits]], minlength=len(idle)) > 0, 0.0, idle + drawn)
            waiting = waiting[~torch.isin(torch.arange(len(waiting)), row)]
            if (lost := idle[group[waiting]] > MOST_DRAWS).any():
                raise Impossible(int(waiting[lost][0]))
        return self.cube.write(batch, found, u, classes, asked, generator=generator)

    def _completed(self, found: Found, rng: Generator) -> tuple[Points, Tensor]:
        """Ranks of rows, their unknown cells drawn, and their classes."""
        u = self._filled(found, torch.rand(found.shift.shape, generator=rng), rng)
        if self.cube.label is None or bool((found.label >= 0).all()):
            return u, found.label
        whole = found._replace(low=u, width=torch.zeros_like(u), known=torch.ones_like(found.known))
        return u, self.cube.classes(whole, self._log_classes, None, generator=rng)

    def _filled(self, found: Found, even: Float[Tensor, "n e"], rng: Generator | None = None) -> Points:
        """Ranks of rows whose unknown cells the solver makes of uniform numbers; those within pieces are drawn, too."""
        d = len(self.cube)
        u, label = found.low + found.width * even[:, :d], None
        if self.cube.label is not None:
            label = torch.where(found.label < 0, self._none, found.label)
        known = found.known if bool(found.known.any()) else None
        made = torch.special.ndtr(self._drawn(_score(even[:, d : 2 * d]), _score(u), known, label, rng))
        return torch.where(found.known, u, made)

    def _fits(
        self, u: Points, label: Tensor, cells: Tensor, bound: Tensor, asked: Regions, rng: Generator
    ) -> Bool[Tensor, " n"]:
        """Whether what was drawn of each row lies in its regions."""
        out = torch.ones(len(u), dtype=torch.bool)
        for d in bound.any(0).nonzero()[:, 0].tolist():
            if d == self.cube.label:
                place, inside = label, True
            else:
                i = self.cube.columns.index(d)
                place = self.cube.ranks[i].place(u[:, i])
                x = self.cube.ranks[i].draw(u[:, i], generator=rng).value
                free = place >= self.places[d].intervals
                inside = free | ((x >= asked[d].lower) & (x <= asked[d].upper)) if d in asked else True
            share = self._shares(d, cells[:, d], asked).gather(1, place[:, None])[:, 0]
            out &= ((share > 0) & inside) | ~bound[:, d]
        return out

    # density ------------------------------------------------------------------------------------------------------
    def log_prob(self, batch: Batch) -> PerRow:
        """A lower bound of log P(x) -> (n,) float64; of rows of which something is unknown an estimate."""
        found = self.found(batch)
        return self.cube.log_known(found, self._log_ranks) + found.log_own

    def log_joint(self, batch: Batch, column: int) -> Float[Tensor, "v n"]:
        """Bounds of log P(class, the other columns) of every class -> (V, n) float64; `column` is that of the class."""
        found = self.found(batch)
        return self._log_classes(found) + found.log_own

    def log_posterior(self, batch: Batch, column: int) -> Float[Tensor, "v n"]:
        """log P(class | the other columns) -> (V, n) float64: normalised bounds."""
        joint = self._log_classes(self.found(batch))
        return joint - torch.logsumexp(joint, 0)

    def _log_classes(self, found: Found) -> Float[Tensor, "v n"]:
        """log P(class) plus the bound of the known ranks given it, of every class -> (V, n)."""
        return self.cube.log_classes(found, self._log_ranks)

    def _log_ranks(self, found: Found) -> PerRow:
        """The bound of log f(ranks | class), or the difference of two where some are unknown -> (n,)."""
        if bool(found.known.all()):
            return self._bounds(found, None)
        out, whole = torch.empty(len(found.label), dtype=torch.float64), found.known.all(1)
        out[whole] = self._bounds(found.rows(whole), None)
        here = found.rows(~whole)
        u = self._filled(here, here.shift)
        full = here._replace(low=u, width=torch.zeros_like(u))
        out[~whole] = self._bounds(full, None) - self._bounds(full, here.known)
        return out

    def _bounds(self, found: Found, known: Known | None) -> PerRow:
        """The bound of log f / N of all scores, or of the others given those that are known -> (n,)."""
        n, d, count = *found.low.shape, self.samples
        out, scale = torch.empty(n, dtype=torch.float64), math.log(MOST / LEAST)
        for rows in torch.arange(n).split(max(ROWS // count, 1)):
            m, even = len(rows), found.rows(rows).even(count)
            u = found.low[rows, None] + found.width[rows, None] * even[:, :, :d]
            z = _score(u).reshape(m * count, d)
            noise = torch.special.ndtri(even[:, :, d : 2 * d].clamp(EDGE, 1 - EDGE)).reshape(m * count, d)
            r = (math.log(LEAST) + scale * even[:, :, 2 * d]).exp().reshape(m * count, 1)
            label = None if self.cube.label is None else found.label[rows].repeat_interleave(count)
            stays = None if known is None else known[rows].repeat_interleave(count, 0)
            gain = self._gain(z, noise, r, stays, label)
            out[rows] = scale * gain.double().view(m, count).mean(1)
        return out

    def _gain(
        self, z: Points, noise: Points, r: Float[Tensor, "n 1"], known: Known | None, label: Tensor | None
    ) -> PerRow:
        """By how much the network's denoiser misses less than that of independent columns, over r^2 -> (n,)."""
        there, out = self.device, []
        for first in range(0, len(z), ROWS):
            rows = lanes(first, len(z), ROWS)
            data, e, at, k, c = (None if t is None else t[rows].to(there) for t in (z, noise, r, known, label))
            assert data is not None and e is not None and at is not None
            y = data + at * e
            made = self._given(y, at, data, k, c)[1]
            gain = ((data - y / (1 + at * at)) ** 2 - (data - made) ** 2) / at**2
            gain = gain if k is None else torch.where(k, 0.0, gain)
            out.append(gain.sum(1)[: min(ROWS, len(z) - first)].cpu())
        return torch.cat(out) if out else torch.zeros(0)

    def log_ode(self, batch: Batch, steps: int = 40, probes: int | None = None) -> PerRow:
        """log P(x, y) of complete rows by the ODE -> (n,) float64, an estimate: of one draw within the pieces of each,
        by exact traces or by so many random signs."""
        found, rng = self.found(batch), Generator().manual_seed(mixed("ode"))
        out = found.log_own.clone()
        if self.cube.label is not None:
            out += self.places[self.cube.label].log_base[found.label]
        z = _score(found.low + found.width * found.shift[:, : len(self.cube)])
        levels = ratios(MOST, LEAST, steps).float()

        def end(y: Points) -> PerRow:
            return -0.5 * ((y * y).sum(1) / (1 + MOST**2) + y.shape[1] * math.log(2 * math.pi * (1 + MOST**2)))

        for rows in torch.arange(len(z)).split(ROWS // 8):
            label = None if self.cube.label is None else found.label[rows].to(self.device)
            here, signs = z[rows].to(self.device), None
            if probes is not None:
                drawn = torch.randint(0, 2, (probes, *here.shape), generator=rng)
                signs = (2.0 * drawn - 1.0).to(self.device)
            found_log = log_density(self._denoiser(here, None, label), here, levels, end, signs).cpu().double()
            out[rows] += found_log + 0.5 * (z[rows] ** 2 + math.log(2 * math.pi)).sum(1)
        return out

    # what is odd --------------------------------------------------------------------------------------------------
    def expected(self, batch: Batch, column: int, numbers: Float[Tensor, " v"]) -> PerRow:
        """E[numbers of the column's place | the other columns] -> (n,): the mean of `samples` draws."""
        i = self.cube.columns.index(column)
        found = self.found(batch).without(i)
        out = torch.empty(len(batch), dtype=torch.float64)
        for rows in torch.arange(len(batch)).split(max(ROWS // self.samples, 1)):
            even = found.rows(rows).even(self.samples).flatten(0, 1)
            u = self._filled(found.rows(rows.repeat_interleave(self.samples)), even)
            out[rows] = numbers[self.cube.ranks[i].place(u[:, i])].view(len(rows), -1).mean(1)
        return out

    def surprise(self, batch: Batch) -> Float[Tensor, "d n"]:
        """-log P(x_d | all other columns) by the network that is told these -> (D, n) float64; 0 for unknown cells."""
        found = self.found(batch)
        out = torch.zeros(len(self.places), len(batch), dtype=torch.float64)
        label = self.cube.label
        for i, d in enumerate(self.cube.columns):
            rows = found.known[:, i].nonzero()[:, 0]
            here = found.rows(rows)
            if label is not None:
                here = here._replace(label=torch.where(here.label < 0, self._none, here.label))
            own = self.places[d].log_own(batch.rows(rows), found.cells[rows, d])
            out[d, rows] = -own - self._own_bound(here, i)
        if label is not None:
            rows = (found.label >= 0).nonzero()[:, 0]
            joint = self._log_classes(found.rows(rows))
            out[label, rows] = torch.logsumexp(joint, 0) - joint.gather(0, found.label[rows][None])[0]
        return out

    def _own_bound(self, found: Found, i: int) -> PerRow:
        """The bound of log f / N of one score given the others that are known -> (n,); cells that are not are drawn."""
        others = found.without(i)
        if not bool(found.known.all()):
            u = self._filled(others, others.shift)
            found = found._replace(
                low=torch.where(found.known, found.low, u), width=torch.where(found.known, found.width, 0.0)
            )
        told = torch.ones_like(found.known)
        told[:, i] = False
        return self._bounds(found, told)


def _score(u: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """The normal scores of ranks."""
    return torch.special.ndtri(u.float().clamp(EDGE, 1 - EDGE))
