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


def mixed(*parts: int | str) -> int:
    """A seed that depends on every part and on their order: mixed(seed, step, player). Stable across processes."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
