"""Autoencoders: rows through a narrow latent and back, from themselves or from what noise left of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from begat.core import Batch, Label, Objective, Spec
from begat.errors import Impossible
from begat.families.over_places import Cells, Heads, OverPlaces, PerRow, Regions, of_cell
from begat.leaves.places import Drawn, Places
from begat.maths.choice import at_share
from begat.random import Noise

Latent = Float[Tensor, "n l"]
ROWS = 8192
"""Rows that go through the networks at a time."""
EDGE = 2.0**-22
"""How near to 0 and 1 a rank is taken for where its normal score is asked."""


@runtime_checkable
class Net(Heads, Protocol):
    """Encoder to a point, and decoder: nets.coder."""

    latent: int

    def point(self, cells: Cells) -> Latent: ...
    def decode(self, z: Latent) -> Float[Tensor, "n width"]: ...


class Scores(NamedTuple):
    """The normal scores of places among their column's own law: of the middle of each (D, V), and where each ends."""

    middles: Float[Tensor, "d v"]
    ends: Float[Tensor, "d v"]

    @classmethod
    def of(cls, places: Sequence[Places]) -> Scores:
        most = max((p.size for p in places), default=1)
        middles, ends = torch.zeros(len(places), most), torch.full((len(places), most), torch.inf)
        for d, law in enumerate(places):
            p = law.log_base.exp()
            middles[d, : law.size] = torch.special.ndtri((p.cumsum(0) - p / 2).clamp(EDGE, 1 - EDGE)).float()
            ends[d, : law.size - 1] = torch.special.ndtri(p.cumsum(0)[:-1].clamp(EDGE, 1 - EDGE)).float()
        return cls(middles, ends)


def _nothing(cells: Cells, level: float, sizes: Int[Tensor, " d"], scores: Scores, noise: Noise) -> Cells:
    return cells


def _masking(cells: Cells, level: float, sizes: Int[Tensor, " d"], scores: Scores, noise: Noise) -> Cells:
    return torch.where(noise.uniform(cells.shape[1]) < level, sizes, cells)


def _gaussian(cells: Cells, level: float, sizes: Int[Tensor, " d"], scores: Scores, noise: Noise) -> Cells:
    at = scores.middles.T.gather(0, cells.clamp(max=scores.middles.shape[1] - 1))
    moved = at + level * noise.normal(cells.shape[1])
    found = torch.searchsorted(scores.ends, moved.T.contiguous()).T
    return torch.where(cells < sizes, torch.minimum(found, sizes - 1), cells)


CORRUPTIONS: Mapping[str, Callable[[Cells, float, Tensor, Scores, Noise], Cells]] = {
    "none": _nothing,
    "masking": _masking,
    "gaussian": _gaussian,
}
"""What noise of a level leaves of places. masking: each cell unknown with the probability `level`, Vincent et al.,
"Extracting and composing robust features with denoising autoencoders" (2008), section 2.3. gaussian: normal noise of
the deviation `level` on the normal scores of ranks, levels intervals of them."""


class Autoencoder(OverPlaces):
    """z = e(corrupted x),    P(x | z) = prod_d P(v_d | z) q(x_d) / q(v_d),    v the places of x: no law of rows.

    The loss of a row is -sum_d log P(v_d | z) of the row as it was: cross entropy where there is no noise, and else
    what a denoising autoencoder lowers (Vincent et al., 2008, equation 5). Each P(v_d | z) tilts the column's own law.

    What is learnt with noise can be drawn from, by the chain x' ~ P(x | e(corrupted x)) with known cells held, whose
    stationary law nears that of the data (Bengio, Yao, Alain and Vincent, "Generalized denoising auto-encoders as
    generative models", 2013, theorem 1): `steps` of it from independent columns. What is learnt by masking says each
    column given others, P(v_d | e(the others)).
    """

    def __init__(self, spec: Spec, places: Sequence[Places], net: Net, *, noise: str, level: float, steps: int):
        super().__init__(spec, places, net)
        self.corrupt, self.level, self.steps = CORRUPTIONS[noise], level, steps
        self.scores = Scores.of(places)

    net: Net

    # objective ----------------------------------------------------------------------------------------------------
    def objectives(self) -> tuple[Objective, ...]:
        """One player, both networks; its loss is what reconstruction misses, nats per row."""
        assert isinstance(self.net, torch.nn.Module)
        return (Objective("coder", self.net, self._loss),)

    def _loss(self, batch: Batch, noise: Noise) -> PerRow:
        cells = batch.x[0]
        h = self.net.decode(self.net.point(self._corrupted(cells, noise)))
        return -torch.stack([self._log_cell(h, d, cell) for d, cell in enumerate(cells.T)]).sum(0)

    def _corrupted(self, cells: Cells, noise: Noise) -> Cells:
        there = cells.device
        scores = Scores(*(each.to(there) for each in self.scores))
        return self._seen(self.corrupt(cells, self.level, self.sizes.to(there), scores, noise))

    # there and back -----------------------------------------------------------------------------------------------
    def encode(self, batch: Batch) -> Latent:
        """The latent of what is known of each row -> (n, L)."""
        return self.net.point(self._seen(self.find(batch)).to(self.device)).cpu()

    def decode(self, z: Latent, *, generator: Generator) -> Batch:
        """A row drawn from P(x | z) for each latent (n, L)."""
        batch = self.nothing(len(z))
        return self._filled(batch, self.find(batch), z, {}, generator)[0]

    def restored(self, batch: Batch) -> Batch:
        """Rows as the decoder says they were: the most probable level or code, or the mean of numbers given that it is
        one, on their grid."""
        z = self.encode(batch)
        empty = self.nothing(len(z))
        x = [each.clone() for each in empty.x]
        for rows in torch.arange(len(z)).split(ROWS):
            h = self.net.decode(z[rows].to(self.device))
            for d, law in enumerate(self.places):
                p = self._law(h, d).exp()
                place, own = p.argmax(1), p[:, : law.intervals]
                if law.intervals:
                    place = own.argmax(1)
                if law.intervals and law.codes:
                    codes = p[:, law.intervals :]
                    place = torch.where(own.sum(1) >= codes.amax(1), place, law.intervals + codes.argmax(1))
                drawn = law.representative(place)
                if law.intervals and not len(law.atoms):
                    mean = (own / own.sum(1, keepdim=True).clamp(min=1e-300)) @ law.mean()
                    mean = mean.round() if law.grid else mean
                    drawn = Drawn(drawn.code, torch.where(place < law.intervals, mean, drawn.value))
                law.write(drawn, x[0], x[1], rows)
        return empty.filled((x[0], x[1]))

    def log_restored(self, batch: Batch) -> PerRow:
        """sum_d log P(x_d | z) of the known cells, z the latent of the row itself -> (n,) float64: no likelihood."""
        cells, out = self.find(batch), torch.zeros(len(batch), dtype=torch.float64)
        z = self.encode(batch)
        for rows in torch.arange(len(z)).split(ROWS):
            h = self.net.decode(z[rows].to(self.device))
            for d in range(len(self.places)):
                cell = cells[rows, d]
                known = cell < self.sizes[d]
                out[rows] += torch.where(known, of_cell(self._law(h, d), cell), 0.0)
        return out + self._own(batch, cells).sum(0)

    def _law(self, h: Float[Tensor, "n width"], d: int) -> Float[Tensor, "n v"]:
        """log P(v_d | z) -> (n, V) float64."""
        return self.net.log_odds(h, d).cpu().double().log_softmax(1)

    # the chain ----------------------------------------------------------------------------------------------------
    def sample(self, n: int, cond: Label | None = None, *, generator: Generator) -> Batch:
        """n rows at the end of the chain. Conditions are cells like others: `complete`."""
        return self.complete(self.nothing(n), generator=generator)

    def complete(self, batch: Batch, asked: Regions | None = None, *, generator: Generator) -> Batch:
        """The batch with its unknown cells at the end of the chain, known ones held, in their regions."""
        asked, cells = dict(asked or {}), self.find(batch)
        for d, law in enumerate(self.places):
            base = self._shares(d, cells[:, d], asked) * law.log_base.exp()
            if (lost := (cells[:, d] >= law.size) & ~(base.sum(1) > 0)).any():
                raise Impossible(int(lost.nonzero()[0, 0]))
        z = torch.zeros(len(batch), self.net.latent)
        seed = int(torch.randint(2**62, (), generator=generator))
        made, now = batch, cells
        for step in range(self.steps + 1):
            if step:
                corrupted = self._corrupted(now.to(self.device), Noise(seed + step, len(now), device=self.device))
                z = torch.cat([self.net.point(rows).cpu() for rows in corrupted.split(ROWS)])
            made, now = self._filled(batch, cells, z if step else None, asked, generator)
        return made

    def _filled(
        self, batch: Batch, cells: Cells, z: Latent | None, asked: Regions, rng: Generator
    ) -> tuple[Batch, Cells]:
        """The unknown cells drawn from P(v_d | z), or from their columns' own laws; and the places of all."""
        x, places = [each.clone() for each in batch.x], cells.clone()
        x[0] = x[0].double()
        for rows in torch.arange(len(cells)).split(ROWS):
            h = None if z is None else self.net.decode(z[rows].to(self.device))
            for d, law in enumerate(self.places):
                drawn = (cells[rows, d] >= law.size).nonzero()[:, 0]
                if not len(drawn):
                    continue
                own = law.log_base.expand(len(drawn), -1) if h is None else self._law(h[drawn], d)
                p = own.exp() * self._shares(d, cells[rows[drawn], d], asked)
                base = law.log_base.exp() * self._shares(d, cells[rows[drawn], d], asked)
                p = torch.where(p.sum(1, keepdim=True) > 0, p, base)
                place = at_share(p, torch.rand(len(drawn), generator=rng, dtype=torch.float64))
                law.write(law.draw(place, asked.get(d), generator=rng), x[0], x[1], rows[drawn])
                places[rows[drawn], d] = place
        return batch.filled((x[0], x[1])), places

    # one column given the others ----------------------------------------------------------------------------------
    def log_posterior(self, batch: Batch, column: int) -> Float[Tensor, "v n"]:
        """log P(x_column at each level | the other columns) -> (V, n) float64."""
        return self._given(batch, column).T

    def expected(self, batch: Batch, column: int, numbers: Float[Tensor, " v"]) -> PerRow:
        """E[numbers of the column's place | the other columns] -> (n,)."""
        return self._given(batch, column).exp() @ numbers

    def surprise(self, batch: Batch) -> Float[Tensor, "d n"]:
        """-log P(x_d | all other columns) -> (D, n) float64; 0 for unknown cells."""
        cells = self.find(batch)
        odd = torch.stack([-of_cell(self._given(batch, d), cell) for d, cell in enumerate(cells.T)])
        return torch.where((cells < self.sizes).T, odd - self._own(batch, cells), 0.0)

    def _given(self, batch: Batch, column: int) -> Float[Tensor, "n v"]:
        """log P(v of the column | what is known of the others) -> (n, V) float64."""
        cells = self.find(batch)
        cells[:, column] = self.sizes[column]
        latents = [self.net.point(self._seen(rows).to(self.device)) for rows in cells.split(ROWS)]
        return torch.cat([self._law(self.net.decode(z), column) for z in latents])
