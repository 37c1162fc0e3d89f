"""The hyper-parameters of naive Bayes: what each may be, and what it is for a column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from begat.errors import BegatError, SchemaError, did_you_mean
from begat.estimators.wish import number, shown, wishes
from begat.random import generator
from begat.schema import Schema

if TYPE_CHECKING:
    from begat.estimators.naive_bayes import NaiveBayes

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "task": ("auto", "classification", "regression", "density"),
    "missing": ("outcome", "unknown"),
    "unseen": ("error", "unknown"),
}
NUMBERS = ("alpha", "var_smoothing")
DRAWN_FROM = (np.random.Generator, np.random.RandomState, torch.Generator)
"""Random states that are generators already."""


def check(recipe: NaiveBayes) -> None:
    """Raise BegatError for a hyper-parameter that is none, whatever the rows are."""
    for name, options in OPTIONS.items():
        said = getattr(recipe, name)
        if not isinstance(said, str) or said not in options:
            raise BegatError(f"{name} is {shown(said)}{did_you_mean(said, options)}")
    for name in NUMBERS:
        said = getattr(recipe, name)
        for value in said.values() if isinstance(said, Mapping) else (said,):
            if not number(value):
                raise BegatError(f"{name} is {shown(value)}; give a finite number, at least 0")
    if not isinstance(recipe.shared_variance, bool | np.bool_):
        raise BegatError(f"shared_variance is {shown(recipe.shared_variance)}; give True or False")
    if not isinstance(recipe.random_state, DRAWN_FROM):
        generator(recipe.random_state)
    wishes(recipe.leaves, ())
    schema(recipe)


def check_columns(recipe: NaiveBayes, names: Iterable[Any], target: Any) -> None:
    """Raise BegatError for a mapping of columns that names one which is neither among the names nor the target."""
    names = list(names)
    for each in ("leaves", *NUMBERS):
        for key in said if isinstance(said := getattr(recipe, each), Mapping) else ():
            if key not in names and key != target:
                raise BegatError(f"{each} names a column {key!r} that X lacks{did_you_mean(key, names)}")


def schema(recipe: NaiveBayes) -> Schema | None:
    """The schema that the person states, if any; its dictionary will do."""
    said = recipe.schema
    if isinstance(said, Mapping):
        return Schema.from_dict(said)
    if said is not None and not isinstance(said, Schema):
        raise SchemaError(f"schema is {shown(said)}; give a begat.Schema (Schema.load reads a file), or None")
    return said


def of(said: float | Mapping[Any, float], column: Any) -> float:
    """A number's value for a column: one for all, or its own, 1 where it has none."""
    return float(said.get(column, 1.0) if isinstance(said, Mapping) else said)
