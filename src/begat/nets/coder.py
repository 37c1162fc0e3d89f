"""An encoder of rows to a latent, and a decoder of a latent to laws of columns."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from begat.nets.places import Embeddings, Scale, Tilts

Cells = Int[Tensor, "n d"]
Latent = Float[Tensor, "n l"]
LOG_SIGMA = (-8.0, 3.0)
"""Within which the log of a deviation of the posterior is kept."""


class Coder(nn.Module):
    """Two residual networks: embedded places -> mean and log deviation of the latent; latent -> tilts of all columns.

    latent: its numbers. width: of the blocks. depth: blocks of either network. sure: whether the latent is its mean
    alone, a point, as of an autoencoder without a law.
    """

    def __init__(
        self, scales: Sequence[Scale], *, latent: int, width: int, embed: int, rank: int, depth: int, rng: Generator,
        sure: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.sizes, self.latent = tuple(len(s.log_base) for s in scales), latent
        self.embeddings = Embeddings(scales, embed, rng)
        self.enter = _linear(len(scales) * embed, width, rng)
        self.narrow = nn.ModuleList(_linear(width, width, rng) for _ in range(2 * depth))
        self.posterior = _linear(width, latent if sure else 2 * latent, rng, by=1.0 if sure else 0.1)
        self.leave = _linear(latent, width, rng)
        self.widen = nn.ModuleList(_linear(width, width, rng) for _ in range(2 * depth))
        self.tilts = Tilts(scales, width, rank)

    @staticmethod
    def layout(
        sizes: Sequence[int],
        intervals: Sequence[int],
        latent: int,
        width: int,
        embed: int,
        rank: int,
        depth: int,
        sure: bool = False,
    ) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter by its name, from the numbers of places and intervals of the columns."""
        linear = {
            "enter": (width, len(sizes) * embed),
            "posterior": (latent if sure else 2 * latent, width),
            "leave": (width, latent),
        }
        linear |= {f"{half}.{i}": (width, width) for half in ("narrow", "widen") for i in range(2 * depth)}
        shapes: dict[str, tuple[int, ...]] = {}
        for name, shape in linear.items():
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        shapes |= {f"embeddings.{name}": shape for name, shape in Embeddings.layout(sizes, embed).items()}
        return shapes | {f"tilts.{n}": shape for n, shape in Tilts.layout(sizes, intervals, width, rank).items()}

    def encode(self, cells: Cells) -> tuple[Latent, Latent]:
        """Mean and log deviation of q(z | cells), of what is known of them; place V is unknown -> (n, L) each."""
        mean, log_sigma = self._narrowed(cells).chunk(2, 1)
        return mean, log_sigma.clamp(*LOG_SIGMA)

    def point(self, cells: Cells) -> Latent:
        """The latent of cells where it is a point -> (n, L)."""
        return self._narrowed(cells)

    def _narrowed(self, cells: Cells) -> Float[Tensor, "n e"]:
        return self.posterior(_through(self.enter(self.embeddings(cells)), self.narrow))

    def decode(self, z: Latent) -> Float[Tensor, "n width"]:
        """What the laws of all columns follow from."""
        return _through(self.leave(z), self.widen)

    def log_odds(self, h: Float[Tensor, "n width"], d: int) -> Float[Tensor, "n v"]:
        """log P(v_d | z) up to a number for each row -> (n, V)."""
        return self.tilts(h, d)


def _linear(inner: int, outer: int, rng: Generator, by: float = 1.0) -> nn.Linear:
    """A linear layer with normal weights of deviation by / sqrt(inner), drawn from rng."""
    made = nn.Linear(inner, outer, bias=True, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        made.weight.copy_(torch.randn(outer, inner, generator=rng) * by / inner**0.5)
        made.bias.zero_()
    return made


def _through(h: Float[Tensor, "n width"], layers: nn.ModuleList) -> Float[Tensor, "n width"]:
    """Residual blocks of two layers each."""
    for i in range(0, len(layers), 2):
        h = h + layers[i + 1](F.silu(layers[i](F.silu(h))))
    return F.silu(h)
