"""Randomness as an argument: every draw comes from a generator that somebody handed in."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch

from begat.errors import BegatError

Seed = Any
"""None (fresh), an int, a numpy Generator or RandomState, or a torch Generator."""


def generator(seed: Seed) -> torch.Generator:
    """A torch generator on the CPU from anything scikit-learn or numpy calls a random state."""
    if isinstance(seed, torch.Generator):
        return seed
    made = torch.Generator(device="cpu")
    if seed is None:
        made.seed()
    elif isinstance(seed, np.random.Generator):
        made.manual_seed(int(seed.integers(2**63)))
    elif isinstance(seed, np.random.RandomState):
        made.manual_seed(int(seed.randint(2**31 - 1)))
    elif isinstance(seed, (int, np.integer)) and not isinstance(seed, bool) and 0 <= seed < 2**63:
        made.manual_seed(int(seed))
    else:
        raise BegatError(f"random_state is {seed!r}; give None, an integer from 0 to 2^63 - 1 or a generator")
    return made


def seed_of(seed: Seed) -> int:
    """The number that everything of a fit is a function of."""
    return generator(seed).initial_seed()


def mixed(*parts: int | str) -> int:
    """A seed that depends on every part and on their order: mixed(seed, step, player). Stable across processes."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def own_uniform(cells: torch.Tensor, numbers: int) -> torch.Tensor:
    """Numbers of [0, 1) that are a function of a row's own whole numbers (n, k) -> (n, numbers) float32.

    Rows draw as if each had noise of its own, so that errors of estimates are not those of all rows at once, and yet a
    row has its answer whatever its neighbours are.
    """
    mixed_in = torch.zeros(len(cells), dtype=torch.int64)
    for column in cells.long().T:
        mixed_in = _mix(mixed_in ^ column)
    each = _mix(mixed_in[:, None] + torch.arange(1, numbers + 1) * _GOLDEN)
    return ((each >> 40) & 0xFFFFFF).float() / 2**24


def evenly(shift: torch.Tensor, count: int) -> torch.Tensor:
    """Numbers of [0, 1), `count` of each kind evenly spread, in orders that all rows share, shifted by each row's own
    (n, k) -> (n, count, k): Cranley and Patterson (1976)."""
    rng = torch.Generator().manual_seed(mixed("even"))
    order = torch.rand(1, count, shift.shape[1], generator=rng).argsort(1)
    return ((order + 0.5) / count + shift[:, None]) % 1.0


_GOLDEN = -0x61C8864680B583EB
"""2^64 over the golden ratio, as a signed number: Steele, Lea and Flood, "Fast splittable generators" (2014)."""


def _mix(x: torch.Tensor) -> torch.Tensor:
    """A number of 64 bits all of which depend on all of x: the finaliser of the same."""
    x = x + _GOLDEN
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * -0x40A7B892E31B1A47
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * -0x6B2FB644ECCEEE15
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


class Noise:
    """Draws for the rows of a batch that are the same on every device, and however processes share the batch.

    It is drawn for all `of` rows on the processor; this process has `rows` of them, from the row `first` on.
    """

    def __init__(
        self, seed: int, rows: int, *, first: int = 0, of: int | None = None, device: torch.device | str = "cpu"
    ):
        self.generator = torch.Generator().manual_seed(seed)
        self.mine, self.of, self.device = slice(first, first + rows), rows if of is None else of, device

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal numbers -> (n, *shape) float32."""
        return self._own(torch.randn(self.of, *shape, generator=self.generator))

    def uniform(self, *shape: int) -> torch.Tensor:
        """Numbers of [0, 1) -> (n, *shape) float32."""
        return self._own(torch.rand(self.of, *shape, generator=self.generator))

    def _own(self, drawn: torch.Tensor) -> torch.Tensor:
        return (drawn if self.of == self.mine.stop - self.mine.start else drawn[self.mine]).to(self.device)
