"""Variational autoencoder: rows from a normal latent, and an encoder that finds the latent of a row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from begat.core import Batch, Label, Objective, Spec
from begat.errors import Impossible
from begat.families.over_places import Cells, Heads, OverPlaces, PerRow, Regions, of_cell
from begat.leaves.places import Places
from begat.maths.choice import at_share
from begat.random import Noise, mixed

Latent = Float[Tensor, "n l"]
ROWS = 8192
"""Latents that are decoded at a time."""


@runtime_checkable
class Net(Heads, Protocol):
    """Encoder and decoder: nets.coder."""

    latent: int

    def encode(self, cells: Cells) -> tuple[Latent, Latent]: ...
    def decode(self, z: Latent) -> Float[Tensor, "n width"]: ...


class Found(NamedTuple):
    """Latents of rows (n, S, L), drawn from the encoder's q, and log P(known, z) - log q(z | known) (n, S)."""

    z: Float[Tensor, "n s l"]
    log_w: Float[Tensor, "n s"]

    def log_bound(self) -> PerRow:
        """log of the mean weight -> (n,): below log P(known) in the mean, nearer with more samples."""
        return torch.logsumexp(self.log_w, 1) - math.log(self.log_w.shape[1])


class VAE(OverPlaces):
    """P(x) = int N(z; 0, I) prod_d P(v_d | z) q(x_d) / q(v_d) dz, v the places of x.

    Given the latent z columns are independent, each a tilt of its own law; within a place a column follows that law's q
    (leaves.places), so that bounds are in the data's units. The loss of a row is the negative evidence lower bound

        -E_q(z|x) sum_d log P(v_d | z) + beta KL(q(z | x) || N(0, I)),

    Kingma and Welling, "Auto-encoding variational Bayes" (2014), equation 10, with z = mean + sigma * noise; beta as
    of Higgins et al., "beta-VAE" (2017), equation 4; each number of z costs a row `free` nats at least, as of Kingma
    et al., "Improved variational inference with inverse autoregressive flow" (2016), equation 15, there over a batch.
    In a share `hide` of the rows a random part of the cells is taken for unknown, in the encoder and in the loss, so
    that q(z | known) is learnt too.

    Everything that is asked is answered with `samples` latents of each row, weighted by importance: the bound

        log P(known) >= E log 1/S sum_s P(known | z_s) N(z_s; 0, I) / q(z_s | known),

    Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders" (2016), equation 8, and conditionals
    sum_s w_s P(v_d | z_s) with the weights normalised. The noise of all rows is the same, one draw, so that a row's
    answer does not depend on its neighbours: the mean that lies below is that over draws of the noise.
    """

    def __init__(
        self, spec: Spec, places: Sequence[Places], net: Net, *, beta: float, free: float, hide: float, samples: int
    ):
        super().__init__(spec, places, net)
        self.beta, self.free, self.hide, self.samples = beta, free, hide, samples

    net: Net

    # objective ----------------------------------------------------------------------------------------------------
    def objectives(self) -> tuple[Objective, ...]:
        """One player, both networks; its loss is minus the evidence lower bound of a row's places, nats."""
        assert isinstance(self.net, torch.nn.Module)
        return (Objective("coder", self.net, self._loss),)

    def _loss(self, batch: Batch, noise: Noise) -> PerRow:
        cells = batch.x[0]
        some, part, each, drawn = noise.uniform(1), noise.uniform(1), noise.uniform(cells.shape[1]), self.net.latent
        if self.training and self.hide:
            cells = torch.where((some < self.hide) & (each < part), self.sizes.to(cells.device), cells)
        mean, log_sigma = self.net.encode(self._seen(cells))
        z = mean + log_sigma.exp() * noise.normal(drawn)
        kl = 0.5 * (mean**2 + (2 * log_sigma).exp() - 1) - log_sigma
        if self.training:
            kl = self.beta * (kl.clamp(min=self.free) if self.free else kl)
        h = self.net.decode(z)
        return kl.sum(1) - torch.stack([self._log_cell(h, d, cell) for d, cell in enumerate(cells.T)]).sum(0)

    # the latent ---------------------------------------------------------------------------------------------------
    def encode(self, batch: Batch) -> Latent:
        """The mean of q(z | what is known of a row) -> (n, L)."""
        return self.net.encode(self._seen(self.find(batch)).to(self.device))[0].cpu()

    def decode(self, z: Latent, *, generator: Generator) -> Batch:
        """A row drawn from P(x | z) for each latent (n, L)."""
        batch = self.nothing(len(z))
        return self._filled(batch, self.find(batch), z, {}, generator)

    # sampler ------------------------------------------------------------------------------------------------------
    def sample(self, n: int, cond: Label | None = None, *, generator: Generator) -> Batch:
        """n rows. Conditions are cells like others: `complete`."""
        return self.decode(torch.randn(n, self.net.latent, generator=generator), generator=generator)

    def complete(self, batch: Batch, asked: Regions | None = None, *, generator: Generator) -> Batch:
        """The batch with every unknown cell drawn given what is known, unknown cells in their regions.

        One of `samples` latents is drawn by its weight, and the cells given it: exact as they grow in number. A row
        without any probability is an EvidenceError.
        """
        asked, cells = asked or {}, self.find(batch)
        z = torch.empty(len(batch), self.net.latent)
        free = self._free(cells, asked)
        z[free] = torch.randn(int(free.sum()), self.net.latent, generator=generator)
        rest = (~free).nonzero()[:, 0]
        for rows in rest.split(max(ROWS // self.samples, 1)) if len(rest) else ():
            noise = torch.randn(len(rows), self.samples, self.net.latent, generator=generator)
            found = self._find(cells[rows], asked, noise)
            if (lost := ~torch.isfinite(found.log_bound())).any():
                raise Impossible(int(rows[lost][0]))
            u = torch.rand(len(rows), generator=generator, dtype=torch.float64)
            z[rows] = found.z[torch.arange(len(rows)), at_share(found.log_w.softmax(1), u)]
        return self._filled(batch, cells, z, asked, generator)

    def _filled(self, batch: Batch, cells: Cells, z: Latent, asked: Regions, rng: Generator) -> Batch:
        """The unknown cells of a batch drawn from P(v_d | z)."""
        x = [each.clone() for each in batch.x]
        x[0] = x[0].double()
        for rows in torch.arange(len(z)).split(ROWS):
            h = self.net.decode(z[rows].to(self.device))
            for d, law in enumerate(self.places):
                drawn = (cells[rows, d] >= law.size).nonzero()[:, 0]
                if not len(drawn):
                    continue
                p = self._law(h[drawn], d).exp() * self._shares(d, cells[rows[drawn], d], asked)
                place = at_share(p, torch.rand(len(drawn), generator=rng, dtype=torch.float64))
                law.write(law.draw(place, asked.get(d), generator=rng), x[0], x[1], rows[drawn])
        return batch.filled((x[0], x[1]))

    # density ------------------------------------------------------------------------------------------------------
    def log_prob(self, batch: Batch, asked: Regions | None = None) -> PerRow:
        """A lower bound of log P(x), or of log P(what is known, unknown cells in their regions) -> (n,) float64."""
        cells = self.find(batch)
        return self._log_bound(cells, asked or {}) + self._own(batch, cells).sum(0)

    def log_joint(self, batch: Batch, column: int) -> Float[Tensor, "v n"]:
        """Bounds of log P(x_column at each level, the other columns), of a column of levels -> (V, n) float64."""
        cells, out = self.find(batch), []
        own = self._own(batch, cells).sum(0)
        for v in range(self.places[column].size):
            cells[:, column] = v
            out.append(self._log_bound(cells, {}))
        return torch.stack(out) + own

    def log_posterior(self, batch: Batch, column: int) -> Float[Tensor, "v n"]:
        """log P(x_column at each level | the other columns) -> (V, n) float64: the mean over weighted latents."""
        return self._given(batch, column).log().T

    def expected(self, batch: Batch, column: int, numbers: Float[Tensor, " v"]) -> PerRow:
        """E[numbers of the column's place | the other columns] -> (n,)."""
        return self._given(batch, column) @ numbers

    def surprise(self, batch: Batch) -> Float[Tensor, "d n"]:
        """-log P(x_d | all other columns) -> (D, n) float64; 0 for unknown cells."""
        cells = self.find(batch)
        odd = torch.stack([-of_cell(self._given(batch, d), cell).log() for d, cell in enumerate(cells.T)])
        return torch.where((cells < self.sizes).T, odd - self._own(batch, cells), 0.0)

    # latents of rows ----------------------------------------------------------------------------------------------
    def _law(self, h: Float[Tensor, "n width"], d: int) -> Float[Tensor, "n v"]:
        """log P(v_d | z) -> (n, V) float64."""
        return self.net.log_odds(h, d).cpu().double().log_softmax(1)

    def _free(self, cells: Cells, asked: Regions) -> Tensor:
        """Whether nothing is known of a row -> (n,)."""
        free = (cells == self.sizes).all(1)
        return free & ~torch.tensor(bool(asked))

    def _find(self, cells: Cells, asked: Regions, noise: Float[Tensor, "_ s l"]) -> Found:
        """Latents of these rows from noise (n or 1, S, L), weighted by what is known."""
        n, count = len(cells), noise.shape[1]
        mean, log_sigma = (each.cpu() for each in self.net.encode(self._seen(cells).to(self.device)))
        z = mean[:, None] + log_sigma.exp()[:, None] * noise
        log_w = (0.5 * noise**2 - 0.5 * z**2 + log_sigma[:, None]).sum(2).double()
        every = cells.repeat_interleave(count, 0)
        pieces = zip(z.flatten(0, 1).split(ROWS), every.split(ROWS), strict=True)
        told = [self._log_told(latent, piece, asked) for latent, piece in pieces]
        return Found(z, log_w + torch.cat(told).unflatten(0, (n, count)))

    def _log_told(self, z: Latent, cells: Cells, asked: Regions) -> PerRow:
        """log P(known cells, unknown ones in their regions | z) -> (n,)."""
        h, total = self.net.decode(z.to(self.device)), torch.zeros(len(z), dtype=torch.float64)
        known, bound = cells < self.sizes, self._bound(cells, asked)
        for d in (known | bound).any(0).nonzero()[:, 0].tolist():
            log_p = self._law(h, d)
            total += torch.where(known[:, d], of_cell(log_p, cells[:, d]), 0.0)
            if bound[:, d].any():
                inside = (log_p.exp() * self._shares(d, cells[:, d], asked)).sum(1).log()
                total += torch.where(bound[:, d], inside, 0.0)
        return total

    def _log_bound(self, cells: Cells, asked: Regions) -> PerRow:
        """A lower bound of log P(known places, unknown ones in their regions) -> (n,)."""
        out = torch.zeros(len(cells), dtype=torch.float64)
        told = (~self._free(cells, asked)).nonzero()[:, 0]
        for rows in told.split(max(ROWS // self.samples, 1)) if len(told) else ():
            out[rows] = self._find(cells[rows], asked, self._noise()).log_bound()
        return out

    def _noise(self) -> Float[Tensor, "_ s l"]:
        """The noise that all rows share, each draw with its negative -> (1, S, L)."""
        rng = Generator().manual_seed(mixed("latents"))
        half = torch.randn(1, -(-self.samples // 2), self.net.latent, generator=rng)
        return torch.cat([half, -half], 1)[:, : self.samples]

    def _given(self, batch: Batch, column: int) -> Float[Tensor, "n v"]:
        """P(v of the column | what is known of the others) -> (n, V) float64."""
        cells = self.find(batch)
        cells[:, column] = self.sizes[column]
        out = torch.empty(len(cells), self.places[column].size, dtype=torch.float64)
        for rows in torch.arange(len(cells)).split(max(ROWS // self.samples, 1)):
            found = self._find(cells[rows], {}, self._noise())
            latents = found.z.flatten(0, 1).to(self.device)
            p = torch.cat([self._law(self.net.decode(z), column).exp() for z in latents.split(ROWS)])
            p = p.unflatten(0, found.log_w.shape)
            out[rows] = (found.log_w.softmax(1)[:, :, None] * p).sum(1)
        return out
