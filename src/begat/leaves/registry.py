"""Leaves by name: what a model file says of a leaf, and the leaf it says it of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from begat.errors import FileError, did_you_mean
from begat.leaves.base import Leaf
from begat.leaves.calendar import Calendar
from begat.leaves.categorical import Bernoulli, Categorical
from begat.leaves.counts import NegativeBinomial, Poisson
from begat.leaves.gaussian import Gaussian
from begat.leaves.histogram import Histogram
from begat.leaves.kde import KDE
from begat.leaves.lognormal import LogNormal
from begat.leaves.multinomial import Multinomial
from begat.leaves.special import Special

LEAVES: Mapping[str, type[Leaf]] = {
    leaf.__name__: leaf
    for leaf in (
        Bernoulli, Calendar, Categorical, Gaussian, Histogram, KDE, LogNormal, Multinomial, NegativeBinomial, Poisson,
        Special,
    )
}  # fmt: skip
"""Every leaf that a model file may name."""


def _anything(value: Any) -> bool:
    return True


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**53


def _numbers(value: Any) -> bool:
    return isinstance(value, tuple) and all(type(v) in (int, float) and v == v for v in value)


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("columns", "states", "bins", "cap", "points", "ticks_per_day"), _whole),
    **dict.fromkeys(("lower", "upper"), _numbers),
    **dict.fromkeys(("grid", "exact", "shared"), lambda v: type(v) is bool),
    "origin": lambda v: type(v) is int and abs(v) < 2**62,
    "atoms": lambda v: isinstance(v, tuple) and all(map(_numbers, v)),
    "levels": lambda v: isinstance(v, tuple) and all(map(_whole, v)),
    "alpha": lambda v: (_numbers(v) and all(a >= 0 for a in v)) or (type(v) in (int, float) and v >= 0),
    "var_smoothing": lambda v: type(v) in (int, float) and v >= 0,
}
"""What a keyword of a file must be; what a leaf makes of it is the leaf's own business."""


def describe(leaf: Leaf) -> dict[str, Any]:
    """{"leaf": its name, and its configuration}: all but its tensors, as JSON; infinite bounds are words."""
    return {"leaf": type(leaf).__name__, **{k: _plain(v) for k, v in leaf.config().items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def _restored(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_restored(v) for v in value)
    return float(value) if value in ("inf", "-inf") else value


def build(description: Mapping[str, Any]) -> Leaf:
    """The unfitted leaf that `describe` described; lists, which JSON makes of tuples, are tuples again.

    Raises FileError for a name that no leaf has and for keywords that the leaf does not take.
    """
    name = description.get("leaf")
    if not isinstance(name, str) or name not in LEAVES:
        raise FileError(f"no leaf {name!r}{did_you_mean(name, LEAVES)}")
    keywords = {k: _restored(v) for k, v in description.items() if k != "leaf"}
    for key, value in keywords.items():
        if not _CHECKS.get(key, _anything)(value):
            raise FileError(f"the leaf {name} cannot be made as described: {key} is {str(value)[:40]}")
    try:
        return LEAVES[name](**keywords)
    except (TypeError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise FileError(f"the leaf {name} cannot be made as described: {reason}") from None
