"""The two players of a GAN, over the scores of columns and over pictures: a generator and a discriminator."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from begat.nets.unet import conv, linear, normal

Rows = Float[Tensor, "n d"]
Maps = Float[Tensor, "n c h w"]
Label = Int[Tensor, " n"]
SLOPE = 0.2
"""Of leaky units below 0."""
HEARD, READ = 16, 16
"""Cosines of the rank of each column that a generator reads of its noise, and a discriminator of a row."""
JUDGED, HIDDEN = 2, 0.2
"""Residual blocks of a judge, and the share of its units that are hidden in a fit."""
LOWEST, WIDEST = 4, 4
"""The side below which pictures are halved no further, and how many times as wide layers get."""


class RowSizes(NamedTuple):
    """columns: D. latent: normal numbers that a generator has beside one for each column. labels: of the class. width,
    depth: of the layers of either network."""

    columns: int
    latent: int
    labels: int
    width: int
    depth: int


class PictureSizes(NamedTuple):
    """height, width, channels: of the pictures. latent: normal numbers behind each. labels: of the class. maps: of the
    layers at the first resolution. depth: residual blocks at each."""

    height: int
    width: int
    channels: int
    latent: int
    labels: int
    maps: int
    depth: int

    def sides(self) -> list[tuple[int, int]]:
        """Height and width at each resolution, from the pictures' own downwards."""
        out = [(self.height, self.width)]
        while min(out[-1]) >= 2 * LOWEST:
            out.append(((out[-1][0] + 1) // 2, (out[-1][1] + 1) // 2))
        return out

    def wide(self, level: int) -> int:
        return self.maps * min(2**level, WIDEST)


class RowGenerator(nn.Module):
    """Scores of a row from normal noise: (noise (n, D + latent), label) -> (n, D), the first D of the noise moved by a
    network. It begins as independent columns, and reads cosines of the ranks of its noise: so that what it gives can
    jump where a level ends, as levels do."""

    def __init__(self, sizes: RowSizes, rng: Generator | None):
        super().__init__()
        self.columns = sizes.columns
        self.net = Layers(sizes.columns * (1 + HEARD) + sizes.latent, sizes.columns, sizes, rng, last=0.1)

    def forward(self, noise: Float[Tensor, "n e"], label: Label | None) -> Rows:
        own, rest = noise[:, : self.columns], noise[:, self.columns :]
        return own + self.net(torch.cat([_waves(own, HEARD), rest], 1), label)


class RowDiscriminator(nn.Module):
    """How real a row of scores looks, from what is read of it: (features (n, F), label) -> (n,). It reads cosines of
    their ranks, by which levels, which are intervals of ranks, are told from each other."""

    def __init__(self, sizes: RowSizes, rng: Generator | None):
        super().__init__()
        self.net = Layers(sizes.columns * (1 + READ), 1, sizes, rng, last=1.0)

    def read(self, z: Rows) -> Float[Tensor, "n f"]:
        """What it sees of scores."""
        return _waves(z, READ)

    def forward(self, x: Float[Tensor, "n f"], label: Label | None) -> Float[Tensor, " n"]:
        return self.net(x, label)[:, 0]


class RowJudge(nn.Module):
    """The log odds of data against draws of a row, from what a discriminator reads of it: wider than one, residual, and
    with a share of its units hidden in a fit, for it shall not know the rows."""

    def __init__(self, sizes: RowSizes, rng: Generator | None):
        super().__init__()
        width = 2 * sizes.width
        self.units = (width,) * (JUDGED + 1)
        self.enter = linear(sizes.columns * (1 + READ), width, rng)
        self.label = nn.Parameter(normal((max(sizes.labels, 1), width), rng) * 0.3)
        self.one = nn.ModuleList(linear(width, width, rng) for _ in range(JUDGED))
        self.two = nn.ModuleList(linear(width, width, rng, by=0.5) for _ in range(JUDGED))
        self.leave = linear(width, 1, rng, by=0.1)

    def read(self, z: Rows) -> Float[Tensor, "n f"]:
        """What it sees of scores."""
        return _waves(z, READ)

    def forward(
        self, x: Float[Tensor, "n f"], label: Label | None, even: tuple[Float[Tensor, "n w"], ...] | None = None
    ) -> Float[Tensor, " n"]:
        """even: uniform numbers of the `units` of each layer, those below HIDDEN hidden; None to hide none."""
        h = self.enter(x) + (self.label[0] if label is None else self.label[label])
        for number, (one, two) in enumerate(zip(self.one, self.two, strict=True)):
            h = h + two(_thinned(F.silu(one(F.silu(h))), even, number))
        return self.leave(_thinned(F.silu(h), even, JUDGED))[:, 0]


def _thinned(h: Rows, even: tuple[Rows, ...] | None, number: int) -> Rows:
    """The units with some at 0 and the others as much larger: Srivastava et al., "Dropout" (2014), section 10."""
    return h if even is None else h * (even[number] >= HIDDEN) / (1 - HIDDEN)


class Layers(nn.Module):
    """Leaky layers of one width that are told the class at the first."""

    def __init__(self, inner: int, outer: int, sizes: RowSizes, rng: Generator | None, *, last: float):
        super().__init__()
        width = sizes.width
        self.enter = linear(inner, width, rng)
        self.label = nn.Parameter(normal((max(sizes.labels, 1), width), rng) * 0.5)
        self.inner = nn.ModuleList(linear(width, width, rng, by=math.sqrt(2)) for _ in range(sizes.depth - 1))
        self.leave = linear(width, outer, rng, by=last)

    def forward(self, x: Rows, label: Label | None) -> Float[Tensor, "n o"]:
        h = self.enter(x) + (self.label[0] if label is None else self.label[label])
        for layer in self.inner:
            h = layer(F.leaky_relu(h, SLOPE))
        return self.leave(F.leaky_relu(h, SLOPE))


class PictureGenerator(nn.Module):
    """A picture from normal noise: (noise (n, latent), label) -> (n, C, H, W), from the lowest resolution upwards.

    in_half: whether products are of bfloat16, which halves their time where the processor has them.
    """

    def __init__(self, sizes: PictureSizes, rng: Generator | None):
        super().__init__()
        self.in_half = False
        self.sides, top = sizes.sides(), len(sizes.sides()) - 1
        self.base = (sizes.wide(top), *self.sides[-1])
        self.enter = linear(sizes.latent, math.prod(self.base), rng)
        self.label = nn.Parameter(normal((max(sizes.labels, 1), math.prod(self.base)), rng))
        self.blocks, self.across = nn.ModuleList(), nn.ModuleList()
        for level in range(top, -1, -1):
            self.blocks.append(nn.Sequential(*(Residual(sizes.wide(level), rng) for _ in range(sizes.depth))))
            if level:
                self.across.append(conv(sizes.wide(level), sizes.wide(level - 1), rng, size=1))
        self.leave = conv(sizes.maps, sizes.channels, rng)

    def forward(self, noise: Float[Tensor, "n e"], label: Label | None) -> Maps:
        with torch.autocast(noise.device.type, torch.bfloat16, enabled=self.in_half):
            h = self.enter(noise) + (self.label[0] if label is None else self.label[label])
            h = h.view(-1, *self.base)
            for number, blocks in enumerate(self.blocks):
                h = blocks(h)
                if number < len(self.across):
                    h = F.interpolate(self.across[number](h), size=self.sides[-2 - number], mode="nearest")
            return self.leave(F.leaky_relu(h, SLOPE)).float()


class PictureDiscriminator(nn.Module):
    """How real a picture looks: (pictures (n, C, H, W), label) -> (n,), down to the lowest resolution; of a class the
    product with its own direction (Miyato and Koyama, "cGANs with projection discriminator", 2018, equation 4).

    in_half: whether products are of bfloat16.
    """

    def __init__(self, sizes: PictureSizes, rng: Generator | None):
        super().__init__()
        self.in_half = False
        self.sides, top = sizes.sides(), len(sizes.sides()) - 1
        self.enter = conv(sizes.channels, sizes.maps, rng)
        self.blocks, self.across = nn.ModuleList(), nn.ModuleList()
        for level in range(top + 1):
            self.blocks.append(nn.Sequential(*(Residual(sizes.wide(level), rng) for _ in range(sizes.depth))))
            if level < top:
                self.across.append(conv(sizes.wide(level), sizes.wide(level + 1), rng, size=1))
        inner, self.units = sizes.wide(top) * math.prod(self.sides[-1]), ()
        self.leave = linear(inner, 1, rng)
        self.label = nn.Parameter(normal((max(sizes.labels, 1), inner), rng) / inner**0.5)

    def read(self, x: Maps) -> Maps:
        """What it sees of pictures: all."""
        return x

    def forward(self, x: Maps, label: Label | None, even: tuple[()] | None = None) -> Float[Tensor, " n"]:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.in_half):
            h = self.enter(x)
            for number, blocks in enumerate(self.blocks):
                h = blocks(h)
                if number < len(self.across):
                    h = self.across[number](F.adaptive_avg_pool2d(h, self.sides[number + 1]))
            h = F.leaky_relu(h, SLOPE).flatten(1).float()
        out = self.leave(h)[:, 0]
        return out if label is None else out + (h * self.label[label]).sum(1)


class Residual(nn.Module):
    """Two convolutions of leaky units beside what comes in, without any norm; the second begins at nothing."""

    def __init__(self, width: int, rng: Generator | None):
        super().__init__()
        self.one, self.two = conv(width, width, rng, by=math.sqrt(2)), conv(width, width, rng, by=0.1)

    def forward(self, x: Maps) -> Maps:
        return x + self.two(F.leaky_relu(self.one(F.leaky_relu(x, SLOPE)), SLOPE))


def layout(kind: type[nn.Module], sizes: RowSizes | PictureSizes) -> dict[str, tuple[int, ...]]:
    """The shape of each parameter of a network by its name."""
    return {name: tuple(p.shape) for name, p in kind(sizes, None).named_parameters()}


def _waves(z: Rows, count: int) -> Rows:
    """Scores and cosines of their ranks -> (n, (count + 1) D)."""
    k = torch.arange(1, count + 1, dtype=z.dtype, device=z.device)[:, None]
    return torch.cat([z, torch.cos(math.pi * k * torch.special.ndtr(z)[:, None]).flatten(1)], 1)
