"""What every metric returns: a figure with its error, its unit and the direction that is better."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from begat.errors import BegatError

Better = Literal["higher", "lower", "none"]


@dataclass(frozen=True)
class Score:
    """One figure.

    value: None where it cannot be computed. stderr: its standard error, None where there is none. unit: always said.
    better: which direction is. ideal: the value of a perfect model, where there is one. note: why the value or its
    error is absent or infinite, and what else a reader must know; a value that is not finite must have one.
    """

    value: float | None
    stderr: float | None
    unit: str
    better: Better
    ideal: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.value is not None and math.isnan(self.value):
            raise BegatError(f"a score is a number or None with a note, not NaN ({self.unit})")
        if (self.value is None or math.isinf(self.value)) and not self.note:
            raise BegatError(f"a score of {self.value} needs a note that says why ({self.unit})")
        if self.stderr is not None and not (math.isfinite(self.stderr) and self.stderr >= 0):
            raise BegatError(f"a standard error is finite and not negative, or None: {self.stderr} ({self.unit})")

    @classmethod
    def absent(cls, why: str, unit: str, better: Better = "none", ideal: float | None = None) -> Score:
        """The score that could not be computed, and why."""
        return cls(None, None, unit, better, ideal, why)

    @property
    def finite(self) -> bool:
        """Whether there is a value and it is finite."""
        return self.value is not None and math.isfinite(self.value)

    def beats(self, other: Score) -> bool:
        """Whether this value is strictly better than the other's; False where either is absent or nothing is better."""
        if self.value is None or other.value is None:
            return False
        return (self.better == "higher" and self.value > other.value) or (
            self.better == "lower" and self.value < other.value
        )

    def noted(self, note: str) -> Score:
        """The same score with one more note."""
        return replace(self, note=f"{self.note}; {note}" if self.note else note)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; an infinite value is null, its note says which."""
        out = asdict(self)
        if not self.finite:
            out["value"] = None
        return out

    def __str__(self) -> str:
        if self.value is None:
            return "-"
        if math.isinf(self.value):
            return "inf" if self.value > 0 else "-inf"
        if not self.stderr:
            return f"{self.value:.4g}"
        digits = decimals(self.stderr)
        return f"{self.value:.{digits}f} ± {self.stderr:.{digits}f}"


def decimals(stderr: float) -> int:
    """How many decimals show a standard error with two significant digits, from 0 to 6."""
    return int(min(6, max(0, 1 - math.floor(math.log10(stderr)))))


def mean(values: np.ndarray, unit: str, better: Better, ideal: float | None = None) -> Score:
    """The mean of independent rows (n,) with its standard error sd / sqrt(n)."""
    n = len(values)
    if n == 0:
        return Score.absent("no rows", unit, better, ideal)
    error = float(np.std(values, ddof=1) / math.sqrt(n)) if n > 1 else None
    return Score(float(np.mean(values)), error, unit, better, ideal, "" if n > 1 else "one row has no standard error")


def share(hits: float, n: int, better: Better, ideal: float | None = None) -> Score:
    """A share k / n with the standard error sqrt(q (1 - q) / n), q = (k + 1) / (n + 2).

    q instead of k / n keeps the error above 0 where k is 0 or n (Laplace's rule of succession).
    """
    if n == 0:
        return Score.absent("no rows", "share", better, ideal)
    q = (hits + 1) / (n + 2)
    return Score(hits / n, math.sqrt(q * (1 - q) / n), "share", better, ideal)
