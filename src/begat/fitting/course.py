"""What fits of either kind share: why one ends before its last step, and which state it ends with."""

from __future__ import annotations

import math
from typing import Any

from jaxtyping import Float
from torch import Tensor

from begat.maths.paired import surpasses

INTERRUPTED, STOPPED, DIVERGED = "interrupted", "stopped after its seconds", "diverged"


def finite(score: float) -> float | None:
    """A score as JSON has it."""
    return score if math.isfinite(score) else None


def step_of(said: Any) -> int:
    """The number of a step. ValueError for what is none."""
    if type(said) is not int or said < 0:
        raise ValueError(f"{said!r} is no number of steps")
    return said


def ends_with_last(best: Float[Tensor, " n"], last: Float[Tensor, " n"]) -> bool:
    """Whether a fit ends with its last state: unless held-out rows are less probable under it than under the best one
    by more than a standard error, for its rates have fallen, and of many states of a course one is best by chance."""
    return not surpasses(best - last)
