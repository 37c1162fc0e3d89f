"""A U-Net over pictures that know how noisy they are and what they show."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

Maps = Float[Tensor, "n c h w"]
SCALES, STEP = 16, 0.4
"""Waves of log r that tell how noisy a picture is, and the distance between their frequencies."""
WIDEST = 4
"""How many times as wide as the first resolution others are at most."""


class Sizes(NamedTuple):
    """height, width: of the pictures. inputs, outputs: channels in and out. labels: classes, beside one that stands for
    none. channels: maps at the first resolution, twice as many at each next, WIDEST times as many at most. halvings:
    how often it is halved. depth: residual blocks at each resolution, on both ways."""

    height: int
    width: int
    inputs: int
    outputs: int
    labels: int
    channels: int
    halvings: int
    depth: int

    def wide(self, level: int) -> int:
        """Maps after so many halvings."""
        return self.channels * min(2**level, WIDEST)


class UNet(nn.Module):
    """Residual convolutions at falling and at rising resolutions, each joined to the one it came from; attention at the
    lowest. What it gives is zero at first. Ho, Jain and Abbeel (2020), appendix B; normalised by root mean squares over
    channels, which costs a quarter of group norms where channels lie last.

    rng: of its first weights; None for a network without any, of which only the shapes are known. half: whether
    products are of bfloat16, which halves their time where the processor has them.
    """

    def __init__(self, sizes: Sizes, rng: Generator | None, *, half: bool = False):
        super().__init__()
        self.sizes, self.in_half = sizes, half
        c, told = sizes.channels, 4 * sizes.channels
        self.waves = linear(2 * SCALES, told, rng)
        self.tell = linear(told, told, rng)
        self.label = nn.Parameter(normal((sizes.labels + 1, told), rng))
        self.enter = conv(sizes.inputs, c, rng)
        self.down, self.fall = nn.ModuleList(), nn.ModuleList()
        for level in range(sizes.halvings + 1):
            width = sizes.wide(level)
            self.down.extend(Block(width, width, told, rng) for _ in range(sizes.depth))
            if level < sizes.halvings:
                self.fall.append(conv(width, sizes.wide(level + 1), rng))
        self.middle = Attention(sizes.wide(sizes.halvings), rng)
        self.up, self.rise = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(sizes.halvings + 1)):
            width = sizes.wide(level)
            self.up.extend(Block(2 * width, width, told, rng) for _ in range(sizes.depth))
            if level:
                self.rise.append(conv(width, sizes.wide(level - 1), rng))
        self.gain = nn.Parameter(torch.ones(c, 1, 1))
        self.leave = conv(c, sizes.outputs, rng, by=0.0)
        if rng is not None:
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @staticmethod
    def layout(sizes: Sizes) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter by its name."""
        made = UNet(sizes, None)
        return {name: tuple(p.shape) for name, p in made.named_parameters()}

    def forward(self, x: Maps, r: Float[Tensor, "n 1"], label: Int[Tensor, " n"] | None) -> Float[Tensor, "n o h w"]:
        """Maps of a picture at the ratio r of noise to data; label: its class, the largest number none."""
        sizes = self.sizes
        step = 2**sizes.halvings
        right, below = -sizes.width % step, -sizes.height % step
        x = F.pad(x, (0, right, 0, below)) if right or below else x
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.in_half):
            told = self.tell(F.silu(self.waves(waves_of(r))))
            told = F.silu(told + (self.label[-1] if label is None else self.label[label]))
            h = self.enter(x)
            left: list[Tensor] = []
            for level in range(sizes.halvings + 1):
                for block in self.down[level * sizes.depth : (level + 1) * sizes.depth]:
                    h = block(h, told)
                    left.append(h)
                if level < sizes.halvings:
                    h = self.fall[level](F.avg_pool2d(h, 2))
            h = self.middle(h)
            for number in range(sizes.halvings + 1):
                for block in self.up[number * sizes.depth : (number + 1) * sizes.depth]:
                    h = block(torch.cat([h, left.pop()], 1), told)
                if number < sizes.halvings:
                    h = self.rise[number](F.interpolate(h, scale_factor=2, mode="nearest"))
            out = self.leave(F.silu(_even(h, self.gain)))
        return out[:, :, : sizes.height, : sizes.width].float()


class Block(nn.Module):
    """Two convolutions beside what comes in, the second scaled and shifted by what is told."""

    def __init__(self, inner: int, outer: int, told: int, rng: Generator | None):
        super().__init__()
        self.before, self.between = nn.Parameter(torch.ones(inner, 1, 1)), nn.Parameter(torch.ones(outer, 1, 1))
        self.one, self.two = conv(inner, outer, rng), conv(outer, outer, rng, by=0.1)
        self.told = linear(told, 2 * outer, rng, by=0.1)
        self.across = conv(inner, outer, rng, size=1) if inner != outer else nn.Identity()

    def forward(self, x: Maps, told: Float[Tensor, "n t"]) -> Float[Tensor, "n d h w"]:
        h = self.one(F.silu(_even(x, self.before)))
        scale, shift = self.told(told)[:, :, None, None].chunk(2, 1)
        h = F.silu(_even(h, self.between) * (1 + scale) + shift)
        return self.across(x) + self.two(h)


class Attention(nn.Module):
    """What all pixels of the lowest resolution say to each: softmax(q k^T / sqrt(c)) v, in heads of 32 channels."""

    def __init__(self, width: int, rng: Generator | None):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width, 1, 1))
        self.ask, self.answer = conv(width, 3 * width, rng, size=1), conv(width, width, rng, size=1, by=0.1)
        self.heads = max(width // 32, 1)

    def forward(self, x: Maps) -> Maps:
        n, c, h, w = x.shape
        q, k, v = self.ask(_even(x, self.gain)).view(n, 3, self.heads, c // self.heads, h * w).transpose(3, 4).unbind(1)
        said = (q @ k.transpose(2, 3) / q.shape[3] ** 0.5).softmax(3) @ v  # torch's own has no forward derivatives
        return x + self.answer(said.transpose(2, 3).reshape(n, c, h, w))


def waves_of(r: Float[Tensor, "n 1"]) -> Float[Tensor, "n w"]:
    """Cosines and sines of log r -> (n, 2 SCALES)."""
    angle = r.log() * STEP * torch.arange(1, SCALES + 1, dtype=r.dtype, device=r.device)
    return torch.cat([angle.cos(), angle.sin()], 1)


def _even(x: Maps, gain: Float[Tensor, "c 1 1"]) -> Maps:
    """Each pixel's channels at a root mean square of 1, times a gain."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-6) * gain.to(x.dtype)


def conv(inner: int, outer: int, rng: Generator | None, *, size: int = 3, by: float = 1.0) -> nn.Conv2d:
    """A convolution that keeps the size, with normal weights of deviation by / sqrt(fan-in), drawn from rng."""
    made = nn.Conv2d(inner, outer, size, padding=size // 2, device="meta")
    return _drawn(made, inner * size * size, rng, by)


def linear(inner: int, outer: int, rng: Generator | None, by: float = 1.0) -> nn.Linear:
    """A layer with normal weights of deviation by / sqrt(inner), drawn from rng; without one only its shape."""
    return _drawn(nn.Linear(inner, outer, device="meta"), inner, rng, by)


def _drawn(layer: Any, fan: int, rng: Generator | None, by: float) -> Any:
    if rng is None:
        return layer
    made = layer.to_empty(device="cpu")
    with torch.no_grad():
        made.weight.copy_(normal(tuple(made.weight.shape), rng) * by / math.sqrt(fan))
        made.bias.zero_()
    return made


def normal(shape: tuple[int, ...], rng: Generator | None) -> Tensor:
    """Normal numbers; without a generator only their shape."""
    return torch.empty(shape, device="meta") if rng is None else torch.randn(shape, generator=rng)
