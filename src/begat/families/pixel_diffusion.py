"""Diffusion over the pixels of pictures."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn

from begat.core import Batch, Label, Model, Objective, Spec
from begat.errors import EvidenceError, Impossible
from begat.families.over_places import PerRow, Regions
from begat.leaves.pixels import Pixels
from begat.maths.ode import SOLVERS, Denoiser, Solver, guided, log_density, ratios
from begat.maths.path import Way
from begat.random import Noise, evenly, mixed, own_uniform

Maps = Float[Tensor, "n c h w"]
Classes = Int[Tensor, " n"]
PerClass = Float[Tensor, "v n"]
MOST, LEAST = 80.0, 1 / 6
"""The largest ratio of noise to data, and the smallest in distances between two levels."""
MIDDLE, SPREAD = -0.4, 1.6
"""Mean and deviation of log r that a fit draws: Karras et al. (2022), table 1, for data of deviation 1."""
NAMELESS = 0.1
"""The share of pictures whose class the network is not told in a fit."""
LOOKS = 4
"""Ratios at which a held-out picture is scored."""
NEAR = 4
"""Levels on either side of the one that the network points at, between which its denoiser decides."""
ROWS = 256
"""Pictures that go through the network at a time."""


@runtime_checkable
class Net(Protocol):
    """(maps, r, label) -> two maps for each channel of the pictures: nets.unet, nets.transformer."""

    def __call__(self, x: Tensor, r: Tensor, label: Tensor | None) -> Tensor: ...


class Seen(NamedTuple):
    """Pictures as the model has them: scaled pixels, 0 where they are unknown; which are known; the class of each, -1
    where it is unknown; and by how much each picture's own draws are shifted, a function of it alone."""

    z: Maps
    known: Bool[Tensor, "n c h w"]
    label: Classes
    shift: Float[Tensor, "n e"]

    def rows(self, rows: Tensor) -> Seen:
        return Seen(*(each[rows] for each in self))


class PixelDiffusion(Model):
    """P(x) = P(y) P(x | y) of pictures, z the scaled pixels and y_r = z + r noise at each ratio r of noise to data.

    A pixel is one of a few levels z_k, and the denoiser knows them: the network gives a mean m and a deviation s of
    each pixel, and D is the mean of the levels near m under them,

        m = y / (1 + r^2) - r / sqrt(1 + r^2) f,    D(y, r) = sum_k z_k softmax_k(-(z_k - m)^2 / (2 s^2)),

    which is m itself where s spans several levels, and the very level where it does not: a denoiser of numbers alone
    pays for what lies between levels at every small r. The loss is the mean square of what D misses, in the units of a
    target on a path (maths.path). In a share `hide` of the pictures a random part of the pixels is known and told, in
    half of these one rectangle, and in a tenth the class is not.

    log P is the variational bound in continuous time (Kingma, Salimans, Poole and Ho, "Variational diffusion models",
    2021, equations 11 to 17, with SNR = r^-2),

        -log P(x | y) <= KL[q(y_MOST | x) || N(0, 1 + MOST^2)] + E[-log p(x | y_LEAST)] + int E |z - D|^2 r^-2 d log r,

    p(x | y_LEAST) of each pixel in proportion to N(y; z_k, LEAST^2); over `samples` ratios that are evenly spread.

    net: maps (noisy pixels, known pixels, which are known) -> f and log s of each channel.
    """

    def __init__(
        self, spec: Spec, pixels: Pixels, log_prior: Float[Tensor, " v"] | None, net: Net, way: Way, solver: Solver, *,
        steps: int, hide: float, samples: int, guidance: float,
    ):  # fmt: skip
        super().__init__()
        self.spec, self.pixels, self.scale, self.log_prior = spec, pixels, pixels.scale, log_prior
        self.net, self.way, self.solver, self.steps = net, way, solver, steps
        self.hide, self.samples, self.guidance = hide, samples, guidance
        self.places: tuple[()] = ()

    net: Net

    @property
    def device(self) -> torch.device:
        """Where its network lies."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    @property
    def least(self) -> float:
        """The smallest ratio of noise to data."""
        return LEAST / self.scale.deviation

    # what goes in and out -----------------------------------------------------------------------------------------
    def seen(self, batch: Batch) -> Seen:
        """The pictures of a batch with the class as its last code."""
        known = torch.ones_like(batch.x[0], dtype=torch.bool) if batch.known[0] is None else batch.known[0]
        label = torch.full((len(batch),), -1)
        if self.log_prior is not None:
            told, codes = batch.known[1], batch.x[1][:, -1].long()
            label = codes if told is None else torch.where(told[:, -1], codes, -1)
        levels = torch.where(known, batch.x[0], -1.0)
        shift = own_uniform(levels.long(), levels.shape[1] + 1)
        return Seen(
            self.pixels.maps(batch.x[0]) * self.pixels.arranged(known), self.pixels.arranged(known), label, shift
        )

    # objective ----------------------------------------------------------------------------------------------------
    def objectives(self) -> tuple[Objective, ...]:
        """One player, the network; its loss is the mean square of what the target misses, of batches (levels,) with
        their classes. Of pictures that are held out it is minus the bound, by LOOKS ratios each: nats."""
        assert isinstance(self.net, nn.Module)
        return (Objective("denoiser", self.net, self._loss),)

    def _loss(self, batch: Batch, noise: Noise) -> PerRow:
        z, label = self.pixels.maps(batch.x[0]), batch.cond
        if not self.training:
            return torch.stack([self._seen_loss(z, label, noise) for _ in range(LOOKS)]).mean(0)
        share, nameless, drawn = noise.uniform(1, 1, 1), noise.uniform(), noise.normal(*z.shape[1:])
        r = (MIDDLE + SPREAD * torch.special.ndtri(share.clamp(1e-6, 1 - 1e-6))).exp().clamp(self.least, MOST)
        known = self._hidden(z, noise) if self.hide else None
        label = label if label is None else torch.where(nameless < NAMELESS, self._none, label)
        y = z + r * drawn
        missed = self.way.given(self._given(y, r, z, known, label), y, r) - self.way.at(z, drawn, r)[1]
        missed = missed if known is None else torch.where(known, 0.0, missed)
        return missed.square().flatten(1).mean(1)

    def _hidden(self, z: Maps, noise: Noise) -> Bool[Tensor, "n c h w"]:
        """Which pixels are told, of a share `hide` of the pictures: single ones, or all but a rectangle."""
        some, part, each = noise.uniform(1, 1, 1), noise.uniform(1, 1, 1), noise.uniform(1, *z.shape[2:])
        ends, single = noise.uniform(4), noise.uniform(1, 1, 1) < 0.5
        down, across = ((torch.arange(side, device=z.device) + 0.5) / side for side in z.shape[2:])
        low, high = torch.minimum(ends[:, :2], ends[:, 2:]), torch.maximum(ends[:, :2], ends[:, 2:])
        rows = (down > low[:, :1]) & (down < high[:, :1])
        columns = (across > low[:, 1:]) & (across < high[:, 1:])
        outside = ~(rows[:, None, :, None] & columns[:, None, None, :])
        return ((some < self.hide) & torch.where(single, each < part, outside)).expand_as(z)

    def _seen_loss(self, z: Maps, label: Label | None, noise: Noise) -> PerRow:
        """Minus the bound by one ratio, nats -> (n,)."""
        share, drawn = noise.uniform(1, 1, 1), noise.normal(*z.shape[1:])
        r = (math.log(self.least) + math.log(MOST / self.least) * share).exp()
        missed = (z - self._given(z + r * drawn, r, z, None, label)) / r
        gap = math.log(MOST / self.least) * missed.square()
        return (gap + self._ends(z, drawn)).flatten(1).sum(1)

    def _ends(self, z: Maps, noise: Maps) -> Maps:
        """What the bound says of each pixel at the largest ratio and at the smallest: nats."""
        most = MOST * MOST
        return 0.5 * (math.log1p(1 / most) + (z * z - 1) / (1 + most)) + self._told(z, noise)

    def _told(self, z: Maps, noise: Maps) -> Maps:
        """-log p(x | y) of each pixel at the smallest ratio, where y = z + LEAST noise: nats."""
        k = torch.arange(-NEAR, NEAR + 1, device=z.device).view(-1, 1, 1, 1, 1)
        level = z * self.scale.deviation + self.scale.mean + k
        possible = (level > -0.5) & (level < self.scale.levels - 0.5)
        far = noise**2 - (noise - k / LEAST) ** 2
        return torch.logsumexp((0.5 * far).masked_fill(~possible, -torch.inf), 0)

    @property
    def _none(self) -> int:
        """The label that stands for none."""
        return 0 if self.log_prior is None else len(self.log_prior)

    def _given(
        self, y: Maps, r: Float[Tensor, "n 1 1 1"], z: Maps, known: Bool[Tensor, "n c h w"] | None,
        label: Label | None,
    ) -> Maps:  # fmt: skip
        """D(y, r) of pictures of which some pixels are known -> (n, C, H, W)."""
        size = (1 + r * r).sqrt()
        told = torch.zeros_like(y) if known is None else known.to(y.dtype)
        inner = y / size if known is None else torch.where(known, 0.0, y / size)
        f, log_s = self.net(torch.cat([inner, z * told, told], 1), r[:, :, 0, 0], label).chunk(2, 1)
        middle = y / size**2 - r / size * f
        return self._level(middle, r / size * log_s.clamp(-8, 8).exp())

    def _level(self, middle: Maps, s: Maps) -> Maps:
        """The mean of the levels near `middle` under a normal of deviation s, at most the distance of two levels: a
        wider one has the mean of its own, but for 1e-8 of a level."""
        scale = self.scale
        at = middle * scale.deviation + scale.mean
        nearest = at.detach().round().clamp(0, scale.levels - 1)
        k = torch.arange(-NEAR, NEAR + 1, device=at.device).view(-1, 1, 1, 1, 1)
        level = nearest + k
        far = (level - at) / (s * scale.deviation).clamp(1e-3, 1.0)
        log_p = (-0.5 * far * far).masked_fill((level < 0) | (level > scale.levels - 1), -torch.inf)
        mean = nearest + (log_p.softmax(0) * k).sum(0)
        return (mean - scale.mean) / scale.deviation

    # the denoiser -------------------------------------------------------------------------------------------------
    def _denoiser(self, seen: Seen, label: Classes | None) -> Denoiser:
        """D(y, r) of these pictures; it gives back what is known."""
        known = None if bool(seen.known.all()) or not bool(seen.known.any()) else seen.known

        def denoise(y: Tensor, r: Tensor) -> Tensor:
            data = self._given(y, r.to(y).expand(len(y), 1, 1, 1), seen.z, known, label)
            return data if known is None else torch.where(known, seen.z, data)

        return denoise

    def _drawn(self, noise: Maps, seen: Seen, rng: Generator | None) -> Maps:
        """Pictures that the solver makes of normal noise, known pixels as they are. Without a generator they are of the
        law that was learnt, by a solver that draws nothing: no guidance, and no chain."""
        there, out = self.device, []
        levels = ratios(MOST, self.least, self.steps).float()
        for rows in torch.arange(len(noise)).split(ROWS):
            here = Seen(*(each.to(there) for each in seen.rows(rows)))
            label = None if self.log_prior is None else torch.where(here.label < 0, self._none, here.label)
            denoise = self._denoiser(here, label)
            if rng is not None and self.guidance != 1 and label is not None:
                denoise = guided(denoise, self._denoiser(here, torch.full_like(label, self._none)), self.guidance)
            y = torch.where(here.known, here.z, 0.0) + (1 + MOST**2) ** 0.5 * noise[rows].to(there)
            y = (self.solver if rng is not None else SOLVERS["dpm"]).run(denoise, y, levels, rng)
            out.append(denoise(y, levels[-1]).cpu())
        return torch.cat(out)

    # sampler ------------------------------------------------------------------------------------------------------
    def sample(self, n: int, cond: Label | None = None, *, generator: Generator) -> Batch:
        """n pictures. Conditions are cells like others: `complete`."""
        values, codes = (field.shape[0] for field in self.spec.fields)
        x = (torch.zeros(n, values, dtype=torch.float64), torch.zeros(n, codes, dtype=torch.int32))
        return self.complete(Batch(x, tuple(torch.zeros_like(c, dtype=torch.bool) for c in x)), generator=generator)

    def complete(self, batch: Batch, asked: Regions | None = None, *, generator: Generator) -> Batch:
        """The batch with unknown pixels drawn given those that are known, which the network is told, and an unknown
        class before them. EvidenceError for a range of pixels."""
        asked, seen = dict(asked or {}), self.seen(batch)
        column = batch.x[0].shape[1]
        if any(d != column for d in asked):
            raise EvidenceError("a diffusion over pictures takes values of pixels as evidence, not ranges of them")
        if self.log_prior is not None and bool((seen.label < 0).any()):
            seen = seen._replace(label=self._classes(seen, asked.get(column), generator))
        noise = torch.randn(seen.z.shape, generator=generator)
        made = self.pixels.rows(self._drawn(noise, seen, generator))
        codes = batch.x[1].clone()
        if self.log_prior is not None:
            codes[:, -1] = seen.label.to(codes.dtype)
        return batch.filled((made, codes))

    def _classes(self, seen: Seen, region: object, generator: Generator) -> Classes:
        """The class of each picture, drawn given its known pixels, in its region, where it is unknown -> (n,)."""
        assert self.log_prior is not None
        rows, out = (seen.label < 0).nonzero()[:, 0], seen.label.clone()
        log_w = self.log_prior.expand(len(rows), -1).clone()
        told = seen.known[rows].flatten(1).any(1)
        if bool(told.any()):
            log_w[told] = self._log_classes(seen.rows(rows[told])).T
        codes = getattr(region, "codes", None)
        if codes is not None:
            log_w = log_w.masked_fill(~codes, -torch.inf)
        if (lost := ~(log_w.amax(1) > -torch.inf)).any():
            raise Impossible(int(rows[lost][0]))
        out[rows] = torch.multinomial(log_w.softmax(1), 1, generator=generator)[:, 0]
        return out

    # density ------------------------------------------------------------------------------------------------------
    def log_prob(self, batch: Batch) -> PerRow:
        """A lower bound of log P(x) -> (n,) float64; where some of a picture is unknown an estimate."""
        return self._log_known(self.seen(batch))

    def log_joint(self, batch: Batch, column: int) -> PerClass:
        """Bounds of log P(class, pixels) of every class -> (V, n) float64; `column` is that of the class."""
        return self._log_classes(self.seen(batch))

    def log_posterior(self, batch: Batch, column: int) -> PerClass:
        """log P(class | pixels) -> (V, n) float64: normalised bounds."""
        joint = self._log_classes(self.seen(batch))
        return joint - torch.logsumexp(joint, 0)

    def _log_classes(self, seen: Seen) -> PerClass:
        assert self.log_prior is not None
        every = range(len(self.log_prior))
        return torch.stack([self._log_known(seen._replace(label=torch.full_like(seen.label, v))) for v in every])

    def _log_known(self, seen: Seen) -> PerRow:
        """log P(class, known pixels) -> (n,), of any class where it is unknown."""
        out, rest = torch.zeros(len(seen.label), dtype=torch.float64), torch.arange(len(seen.label))
        if self.log_prior is not None:
            free, rest = (seen.label < 0).nonzero()[:, 0], (seen.label >= 0).nonzero()[:, 0]
            if len(free):
                out[free] = torch.logsumexp(self._log_classes(seen.rows(free)), 0)
            out[rest] = self.log_prior[seen.label[rest]]
        known = seen.known[rest].flatten(1)
        whole, some = rest[known.all(1)], rest[known.any(1) & ~known.all(1)]
        if len(whole):
            out[whole] += self._bounds(seen.rows(whole), None)
        if len(some):
            here = seen.rows(some)
            full = here._replace(z=self._drawn(self._own_noise(here), here, None))
            out[some] += self._bounds(full, None) - self._bounds(full, here.known)
        return out

    def _bounds(self, seen: Seen, known: Bool[Tensor, "n c h w"] | None) -> PerRow:
        """The bound of log P(pixels | class), or of the others given those that are known -> (n,)."""
        n, count, there = len(seen.label), self.samples, self.device
        out, scale = torch.empty(n, dtype=torch.float64), math.log(MOST / self.least)
        for rows in torch.arange(n).split(max(ROWS // count, 1)):
            here = seen.rows(rows)
            even = evenly(here.shift, count).flatten(0, 1)
            z = here.z.repeat_interleave(count, 0).to(there)
            noise = torch.special.ndtri(even[:, 1:].clamp(1e-6, 1 - 1e-6)).reshape(z.shape).to(there)
            r = (math.log(self.least) + scale * even[:, 0]).exp().view(-1, 1, 1, 1).to(there)
            label = None if self.log_prior is None else here.label.repeat_interleave(count).to(there)
            told = None if known is None else known[rows].repeat_interleave(count, 0).to(there)
            missed = (z - self._given(z + r * noise, r, z, told, label)) / r
            lost = scale * missed.square() + self._ends(z, noise)
            lost = lost if told is None else torch.where(told, 0.0, lost)
            out[rows] = -lost.double().flatten(1).sum(1).view(-1, count).mean(1).cpu()
        return out

    def log_ode(self, batch: Batch, steps: int = 40, probes: int | None = None) -> PerRow:
        """log P(x, y) of complete pictures by the ODE -> (n,) float64, an estimate: of one noisy picture y at the
        smallest ratio each, log p(y) + log p(x | y) - log q(y | x); by exact traces or so many random signs."""
        seen, rng = self.seen(batch), Generator().manual_seed(mixed("ode"))
        shape, d = seen.z.shape, seen.z[0].numel()
        out = torch.zeros(shape[0], dtype=torch.float64)
        if self.log_prior is not None:
            out += self.log_prior[seen.label]
        noise = self._own_noise(seen)
        levels, most = ratios(MOST, self.least, steps).float(), 1 + MOST**2

        def end(y: Tensor) -> Tensor:
            return -0.5 * ((y * y).sum(1) / most + d * math.log(2 * math.pi * most))

        for rows in torch.arange(shape[0]).split(max(ROWS // (8 if probes is None else 1), 1)):
            here = Seen(*(each.to(self.device) for each in seen.rows(rows)))
            label = None if self.log_prior is None else here.label
            drawn, signs = noise[rows].to(self.device), None
            if probes is not None:
                signs = 2.0 * torch.randint(0, 2, (probes, len(rows), d), generator=rng).float() - 1.0
                signs = signs.to(self.device)
            y, denoise = (here.z + self.least * drawn).flatten(1), _flattened(self._denoiser(here, label), shape[1:])
            found = log_density(denoise, y, levels, end, signs)
            q = -0.5 * (drawn.flatten(1).square().sum(1) + d * math.log(2 * math.pi * self.least**2))
            out[rows] += (found - self._told(here.z, drawn).flatten(1).sum(1) - q).cpu().double()
        return out

    # what is odd --------------------------------------------------------------------------------------------------
    def surprise(self, batch: Batch) -> Float[Tensor, "d n"]:
        """-log P(pixel | all others) by the network that is told these, and of the class -> (D, n) float64, 0 for what
        is unknown: bounds, `samples` pictures through the network for each pixel."""
        seen = self.seen(batch)
        n, count = batch.x[0].shape
        out = torch.zeros(count + (self.log_prior is not None), n, dtype=torch.float64)
        label = seen.label if self.log_prior is None else torch.where(seen.label < 0, self._none, seen.label)
        full = seen._replace(label=label)
        if not bool(seen.known.all()):
            full = full._replace(z=self._drawn(self._own_noise(seen), full, None))
        cells = self.pixels.cells()
        for d in range(count):
            rows = seen.known[:, cells == d][:, 0].nonzero()[:, 0]
            out[d, rows] = -self._bounds(full.rows(rows), (cells != d).expand(len(rows), *cells.shape))
        if self.log_prior is not None and len(rows := (seen.label >= 0).nonzero()[:, 0]):
            joint = self._log_classes(seen.rows(rows))
            out[count, rows] = torch.logsumexp(joint, 0) - joint.gather(0, seen.label[rows][None])[0]
        return out

    @staticmethod
    def _own_noise(seen: Seen) -> Maps:
        """Normal noise that is a function of each picture alone."""
        return torch.special.ndtri(seen.shift[:, 1:].clamp(1e-6, 1 - 1e-6)).reshape(seen.z.shape)


def _flattened(denoise: Denoiser, shape: tuple[int, ...]) -> Denoiser:
    """A denoiser of maps as one of rows."""
    return lambda y, r: denoise(y.view(-1, *shape), r).flatten(1)
