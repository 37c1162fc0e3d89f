"""A transformer over the patches of pictures that know how noisy they are and what they show."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from begat.nets.unet import SCALES, linear, normal, waves_of

Maps = Float[Tensor, "n c h w"]
Tokens = Float[Tensor, "n t c"]
HEAD, SIDE = 32, 8
"""Channels of a head of attention, and patches along the shorter side of a picture, about."""


class Sizes(NamedTuple):
    """height, width: of the pictures. inputs, outputs: channels in and out. labels: classes, beside one that stands for
    none. channels: of a patch within. depth: blocks."""

    height: int
    width: int
    inputs: int
    outputs: int
    labels: int
    channels: int
    depth: int

    @property
    def patch(self) -> int:
        """Pixels along the side of a patch."""
        return max(round(min(self.height, self.width) / SIDE), 1)

    @property
    def patches(self) -> tuple[int, int]:
        """Patches down and across; the last ones reach beyond the picture where they do not fit."""
        return -(-self.height // self.patch), -(-self.width // self.patch)


class Transformer(nn.Module):
    """Attention among patches and layers of each, both scaled, shifted and gated by what is told; gates and what it
    gives are zero at first. Peebles and Xie, "Scalable diffusion models with transformers" (2023), section 3.2,
    adaLN-Zero.

    rng: of its first weights; None for a network without any, of which only the shapes are known. half: whether
    products are of bfloat16.
    """

    def __init__(self, sizes: Sizes, rng: Generator | None, *, half: bool = False):
        super().__init__()
        self.sizes, self.in_half, c = sizes, half, sizes.channels
        self.waves, self.tell = linear(2 * SCALES, c, rng), linear(c, c, rng)
        self.label = nn.Parameter(normal((sizes.labels + 1, c), rng))
        self.place = nn.Parameter(normal((sizes.patches[0] * sizes.patches[1], c), rng) * 0.3)
        self.enter = linear(sizes.inputs * sizes.patch**2, c, rng)
        self.blocks = nn.ModuleList(Block(c, rng) for _ in range(sizes.depth))
        self.last = linear(c, 2 * c, rng, by=0.0)
        self.leave = linear(c, sizes.outputs * sizes.patch**2, rng, by=0.0)

    @staticmethod
    def layout(sizes: Sizes) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter by its name."""
        return {name: tuple(p.shape) for name, p in Transformer(sizes, None).named_parameters()}

    def forward(self, x: Maps, r: Float[Tensor, "n 1"], label: Int[Tensor, " n"] | None) -> Float[Tensor, "n o h w"]:
        """Maps of a picture at the ratio r of noise to data; label: its class, the largest number none."""
        sizes, p, (down, across) = self.sizes, self.sizes.patch, self.sizes.patches
        x = F.pad(x, (0, across * p - sizes.width, 0, down * p - sizes.height))
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.in_half):
            told = self.tell(F.silu(self.waves(waves_of(r))))
            told = F.silu(told + (self.label[-1] if label is None else self.label[label]))
            h = self.enter(F.pixel_unshuffle(x, p).flatten(2).transpose(1, 2)) + self.place
            for block in self.blocks:
                h = block(h, told)
            scale, shift = self.last(told)[:, None].chunk(2, 2)
            out = self.leave(_level(h, scale, shift))
        maps = out.transpose(1, 2).unflatten(2, (down, across))
        return F.pixel_shuffle(maps, p)[:, :, : sizes.height, : sizes.width].float()


class Block(nn.Module):
    """What patches say to each other, and what each makes of it."""

    def __init__(self, width: int, rng: Generator | None):
        super().__init__()
        self.told = linear(width, 6 * width, rng, by=0.0)
        self.ask, self.answer = linear(width, 3 * width, rng), linear(width, width, rng)
        self.widen, self.narrow = linear(width, 4 * width, rng), linear(4 * width, width, rng)
        self.heads = max(width // HEAD, 1)

    def forward(self, x: Tokens, told: Float[Tensor, "n c"]) -> Tokens:
        scale, shift, gate, scale_own, shift_own, gate_own = self.told(told)[:, None].chunk(6, 2)
        q, k, v = self.ask(_level(x, scale, shift)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        said = (q @ k.transpose(2, 3) / q.shape[3] ** 0.5).softmax(3) @ v  # torch's own has no forward derivatives
        x = x + gate * self.answer(said.transpose(1, 2).flatten(2))
        return x + gate_own * self.narrow(F.gelu(self.widen(_level(x, scale_own, shift_own))))


def _level(x: Tokens, scale: Float[Tensor, "n 1 c"], shift: Float[Tensor, "n 1 c"]) -> Tokens:
    """Each patch's channels at mean 0 and deviation 1, scaled and shifted."""
    return F.layer_norm(x, x.shape[2:]) * (1 + scale) + shift
