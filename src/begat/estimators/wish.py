"""What a person wants for a column: the name of a leaf, and options of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from begat.errors import BegatError, did_you_mean
from begat.leaves.bandwidth import RULES

CODED = ("categorical", "bernoulli")
NUMERIC = ("gaussian", "lognormal", "kde", "histogram", "poisson", "negative_binomial", "multinomial")
NAMES = (*NUMERIC, *CODED)
MOST_BINS = 100_000
SHOWN = 100
"""Letters of a foreign value in a message at most."""


class Wish(NamedTuple):
    """A leaf's name ("auto" for the choice by held-out likelihood) and its options as (option, value) pairs."""

    name: str
    options: tuple[tuple[str, Any], ...] = ()


class Option(NamedTuple):
    """What a value of an option must be, as a test and in words."""

    allows: Callable[[Any], bool]
    words: str


def number(value: Any) -> bool:
    """Whether a value is a number of at least 0 that a float can hold."""
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return real and bool(0 <= value <= sys.float_info.max)


def shown(value: Any) -> str:
    """A foreign value as code spells it, in one line of bounded length."""
    text = " ".join(repr(value).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ..."


def _bandwidth(value: Any) -> bool:
    return value in RULES if isinstance(value, str) else number(value) and value > 0


def _bins(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(1 <= value <= MOST_BINS)


OPTIONS: Mapping[str, Mapping[str, Option]] = {
    "kde": {
        "bandwidth": Option(_bandwidth, f"{', '.join(map(repr, RULES))} or a positive factor"),
        "exact": Option(lambda value: isinstance(value, bool), "True or False"),
    },
    "histogram": {"bins": Option(_bins, f"a whole number from 1 to {MOST_BINS:,}")},
}
"""The options of each leaf that has any, beside `alpha`, `var_smoothing` and `shared_variance`."""


def wish(value: Any) -> Wish:
    """The wish that a name, or a pair (name, {option: value}), is. BegatError for unknown names and options."""
    pair = isinstance(value, tuple | list)
    if pair and not (len(value) == 2 and isinstance(value[1], Mapping)):
        raise BegatError(f"a leaf with options is a pair (name, {{option: value}}), not {shown(value)}")
    name, options = (value[0], value[1]) if pair else (value, {})
    if not isinstance(name, str) or name not in (*NAMES, "auto"):
        raise BegatError(f"no leaf {shown(name)}{did_you_mean(name, (*NAMES, 'auto'))}")
    known = OPTIONS.get(name, {})
    for option, chosen in options.items():
        if option not in known:
            hint = did_you_mean(option, known) or f"; those with options are {', '.join(OPTIONS)}"
            raise BegatError(f"the leaf {name} has no option {shown(option)}{hint}")
        if not known[option].allows(chosen):
            raise BegatError(f"the option {option} of the leaf {name} is {shown(chosen)}; give {known[option].words}")
    return Wish(name, tuple((k, v.item() if isinstance(v, np.generic) else v) for k, v in sorted(options.items())))


def wishes(leaves: Any, names: Iterable[Any]) -> dict[Any, Wish]:
    """The wish for each column, of one for all or of a mapping of column to wish; "auto" for those left out."""
    if isinstance(leaves, Mapping):
        said = {column: wish(value) for column, value in leaves.items()}
        return {column: said.get(column, Wish("auto")) for column in names}
    return dict.fromkeys(names, wish(leaves))
