"""Generative adversarial networks: a generator that a discriminator cannot tell from data, and a judge of its draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from begat.core import Batch, Label, Model, Objective, Spec
from begat.leaves.cube import Cube, Found
from begat.leaves.pixels import Pixels
from begat.random import Noise

PerRow = Float[Tensor, " n"]
Points = Float[Tensor, "n *d"]
ROWS = 4096
"""Draws that are made at a time."""
EDGE = 2.0**-22
"""How near to 0 and 1 a rank is taken for where its normal score is asked."""
NEAREST = 5
"""Neighbours among real rows within which a draw covers a real row."""


class Game(NamedTuple):
    """What either player lowers, of what the discriminator says of a real row and of a draw -> (n,) each."""

    discriminator: Callable[[PerRow, PerRow], PerRow]
    generator: Callable[[PerRow, PerRow], PerRow]


def _nearer(real: PerRow, drawn: PerRow) -> PerRow:
    return F.softplus(drawn - real)


def _further(real: PerRow, drawn: PerRow) -> PerRow:
    return F.softplus(real - drawn)


def _logistic(real: PerRow, drawn: PerRow) -> PerRow:
    return F.softplus(-real) + F.softplus(drawn)


def _taken(real: PerRow, drawn: PerRow) -> PerRow:
    return F.softplus(-drawn)


def _opposite(real: PerRow, drawn: PerRow) -> PerRow:
    return -F.softplus(drawn)


GAMES: Mapping[str, Game] = {
    "relativistic": Game(_nearer, _further),
    "classical": Game(_logistic, _taken),
    "minimax": Game(_logistic, _opposite),
}
"""relativistic: Jolicoeur-Martineau (2019), as of Huang et al., "The GAN is dead; long live the GAN!" (2024), equation
2. minimax: the zero-sum game of Goodfellow et al., "Generative adversarial nets" (2014), equation 1. classical: the
same, but for a generator whose gradient does not vanish (section 3)."""


@runtime_checkable
class Space(Protocol):
    """Where the players meet: points that are made of encoded rows, and of which rows are made."""

    def real(self, batch: Batch, noise: Noise) -> Points:
        """Points of a fit's batch."""
        ...

    def rows(self, points: Points, label: Label | None, *, generator: Generator) -> Batch:
        """Encoded rows of points, with their classes."""
        ...


class Scores:
    """Normal scores of the ranks of a table's cells (leaves.cube), drawn within the pieces of those that have mass."""

    def __init__(self, cube: Cube, spec: Spec):
        self.cube, self.spec = cube, spec

    def found(self, batch: Batch) -> Found:
        """Where the rows of a table lie."""
        return self.cube.find(batch, torch.stack([p.find(batch) for p in self.cube.places], 1))

    def real(self, batch: Batch, noise: Noise) -> Points:
        low, width = batch.x
        u = low + width * noise.uniform(low.shape[1])
        return torch.special.ndtri(u.clamp(EDGE, 1 - EDGE))

    def rows(self, points: Points, label: Label | None, *, generator: Generator) -> Batch:
        n, (values, codes) = len(points), (field.shape[0] for field in self.spec.fields)
        x = (torch.zeros(n, values, dtype=torch.float64), torch.zeros(n, codes, dtype=torch.int32))
        nothing = Batch(x, tuple(torch.zeros_like(c, dtype=torch.bool) for c in x))
        none, unknown = torch.zeros(n, len(self.cube)), torch.zeros(n, len(self.cube), dtype=torch.bool)
        cells = torch.tensor([p.size for p in self.cube.places]).expand(n, -1)
        free = torch.full((n,), -1)
        found = Found(cells, none, none + 1, unknown, free, torch.zeros(n, dtype=torch.float64), none)
        classes = free if label is None else label.cpu()
        u = torch.special.ndtr(points.cpu()).clamp(EDGE, 1 - EDGE)  # beyond which no real row lies, either
        return self.cube.write(nothing, found, u, classes, {}, generator=generator)


class Pictures:
    """Scaled pixels, spread evenly between their levels; a draw's are the nearest levels. codes: of encoded rows."""

    def __init__(self, pixels: Pixels, codes: int):
        self.pixels, self.codes = pixels, codes

    def real(self, batch: Batch, noise: Noise) -> Points:
        return self.pixels.spread(batch.x[0], noise.uniform(batch.x[0].shape[1]))

    def rows(self, points: Points, label: Label | None, *, generator: Generator) -> Batch:
        codes = torch.zeros(len(points), self.codes, dtype=torch.int32)
        if label is not None:
            codes[:, -1] = label.to(torch.int32)
        return Batch((self.pixels.rows(points.cpu()), codes), (None, None))


class GAN(Model):
    """A draw is G(noise, y); there is no density. The players lower, of real points x and draws x' = G(noise, y),

        discriminator   f(D(x), D(x')) + penalty / 2 (|grad D(x)|^2 + |grad D(x')|^2),      generator   g(D(x), D(x')),

    f and g a row of GAMES; the penalties keep the discriminator from steps that no gradient leads over (Mescheder et
    al., "Which training methods for GANs do actually converge?", 2018, equations 9 and 10);
    the gradients with respect to what it reads of points.

    net: `generator` (noise (n, latent), label) -> points; `discriminator`, which reads points and says of them
    (features, label) -> (n,); and, where draws are judged, `judge`, which does the same with some of its units hidden
    in a fit. log_prior: of the classes. candidates: draws of which the judge's odds choose one, a row of G's law tilted
    to the data's (Azadi et al., "Discriminator rejection sampling", 2019; Grover et al., "Bias correction of learned
    generative models using likelihood-free importance weighting", 2019, equation 5).
    """

    def __init__(
        self, spec: Spec, space: Space, net: nn.ModuleDict, latent: int, log_prior: Float[Tensor, " v"] | None,
        game: Game, penalty: float, candidates: int,
    ):  # fmt: skip
        super().__init__()
        self.spec, self.space, self.net, self.latent, self.log_prior = spec, space, net, latent, log_prior
        self.game, self.penalty, self.candidates = game, penalty, candidates

    @property
    def device(self) -> torch.device:
        """Where its networks lie."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    # objectives ---------------------------------------------------------------------------------------------------
    def objectives(self) -> tuple[Objective, ...]:
        """Two players; their losses are moves of a game, not nats."""
        return (
            Objective("discriminator", self.net["discriminator"], self._told_apart),
            Objective("generator", self.net["generator"], self._taken_for_real),
        )

    def _told_apart(self, batch: Batch, noise: Noise) -> PerRow:
        real = self.space.real(batch, noise)
        with torch.no_grad():
            drawn = self.net["generator"](noise.normal(self.latent), batch.cond)
        apart: Any = self.net["discriminator"]
        both = apart.read(torch.cat([real, drawn])).requires_grad_(self.penalty > 0)
        label = None if batch.cond is None else torch.cat([batch.cond, batch.cond])
        said: Tensor = apart(both, label)
        loss = self.game.discriminator(*said.chunk(2))
        if not self.penalty:
            return loss
        (slope,) = torch.autograd.grad(said.sum(), both, create_graph=True)
        return loss + 0.5 * self.penalty * slope.square().flatten(1).sum(1).view(2, -1).sum(0)

    def _taken_for_real(self, batch: Batch, noise: Noise) -> PerRow:
        real = self.space.real(batch, noise)
        apart: Any = self.net["discriminator"]
        drawn = self.net["generator"](noise.normal(self.latent), batch.cond)
        with torch.no_grad():
            of_real = apart(apart.read(real), batch.cond)
        return self.game.generator(of_real, apart(apart.read(drawn), batch.cond))

    # sampler ------------------------------------------------------------------------------------------------------
    def sample(self, n: int, cond: Label | None = None, *, generator: Generator) -> Batch:
        """n rows, of the classes cond, or of classes drawn from their prior."""
        label = cond
        if label is None and self.log_prior is not None:
            label = torch.multinomial(self.log_prior.exp(), n, True, generator=generator)
        points = [
            self._points(rows, label, generator) for rows in torch.arange(n).split(max(ROWS // self.candidates, 1))
        ]
        return self.space.rows(torch.cat(points), label, generator=generator)

    def _points(self, rows: Int[Tensor, " n"], label: Tensor | None, rng: Generator) -> Points:
        """Points of these rows, each one of `candidates`, by the odds that the judge gives them."""
        m, k, there = len(rows), self.candidates, self.device
        of = None if label is None else label[rows].repeat_interleave(k).to(there)
        made = self.net["generator"](torch.randn(m * k, self.latent, generator=rng).to(there), of)
        if k == 1:
            return made.cpu()
        judge: Any = self.net["judge"]
        odds = judge(judge.read(made), of).view(m, k).cpu()
        chosen = torch.multinomial(odds.double().softmax(1), 1, generator=rng)[:, 0]
        return made.cpu().view(m, k, *made.shape[1:])[torch.arange(m), chosen]

    # how it goes --------------------------------------------------------------------------------------------------
    def covered(self, real: Points, label: Label | None, noise: Noise) -> Float[Tensor, " n"]:
        """Whether a draw of as many lies as near to each real point as its NEAREST-th real neighbour -> (n,), 1 or 0:
        coverage, Naeem et al., "Reliable fidelity and diversity metrics for generative models" (2020), equation 4. Its
        mean is 1 - 2^-5 where draws are as the data, and falls where modes are lost."""
        drawn = self.net["generator"](noise.normal(self.latent), label)
        flat = real.flatten(1)
        near = torch.cdist(flat, flat).kthvalue(min(NEAREST + 1, len(flat)), 1)[0]
        return (torch.cdist(flat, drawn.flatten(1)).amin(1) <= near).float()


class Judge(Model):
    """Who tells data from the draws of a generator that stays as it is: log D(x) - log(1 - D(x)) is log p / q, the
    odds of the data's law against the generator's (Sugiyama, Suzuki and Kanamori, "Density ratio estimation in machine
    learning", 2012, section 4). Its loss is in nats, 2 log 2 where the two are alike."""

    def __init__(self, model: GAN):
        super().__init__()
        self.net: Any = model.net["judge"].requires_grad_(True)
        self.space, self.latent = model.space, model.latent
        self._generator: tuple[Any, ...] = (model.net["generator"],)  # no part of what is fitted, and of what is kept

    def sample(self, n: int, cond: Label | None = None, *, generator: Generator) -> Batch:
        raise NotImplementedError("a judge draws nothing")

    def objectives(self) -> tuple[Objective, ...]:
        """One player; held out, it is scored by the same loss."""
        return (Objective("judge", self.net, self._loss),)

    def _loss(self, batch: Batch, noise: Noise) -> PerRow:
        real = self.space.real(batch, noise)
        with torch.no_grad():
            drawn = self._generator[0](noise.normal(self.latent), batch.cond)
        return F.softplus(-self._odds(real, batch.cond, noise)) + F.softplus(self._odds(drawn, batch.cond, noise))

    def _odds(self, points: Points, label: Label | None, noise: Noise) -> PerRow:
        even = tuple(noise.uniform(count) for count in self.net.units) if self.training else None
        return self.net(self.net.read(points), label, even)
