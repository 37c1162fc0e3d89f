"""The hyper-parameters of estimators: what each may be, and what it is for a column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from begat.errors import BegatError, SchemaError, did_you_mean
from begat.estimators.wish import number, shown, wishes
from begat.families.autoencoder import CORRUPTIONS
from begat.families.gan import GAMES
from begat.maths.bijections import BIJECTIONS
from begat.maths.ode import SOLVERS
from begat.maths.path import PATHS, TARGETS
from begat.random import generator
from begat.schema import Schema

if TYPE_CHECKING:
    from begat.estimators.base import Generative

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "task": ("auto", "classification", "regression", "density"),
    "missing": ("outcome", "unknown"),
    "unseen": ("error", "unknown"),
}
NUMBERS = ("alpha", "var_smoothing")
"""A number for all columns, or a mapping of column to number."""


def _whole(least: int, most: int = 2**31) -> Callable[[Any], bool]:
    def holds(value: Any) -> bool:
        return isinstance(value, int | np.integer) and not isinstance(value, bool) and least <= int(value) <= most

    return holds


def _auto_or(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (isinstance(value, str) and value == "auto") or holds(value)


AUTO = "'auto' or "
ALLOWED: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "shared_variance": (lambda v: isinstance(v, bool | np.bool_), "True or False"),
    "units": (_auto_or(_whole(1, 4096)), "'auto' or a whole number from 1 to 4,096"),
    "shape": (lambda v: isinstance(v, str) and v in ("tree", "mixture"), "'tree' or 'mixture'"),
    "rank": (_auto_or(_whole(1, 4096)), "'auto' or a whole number from 1 to 4,096"),
    "hide": (_auto_or(lambda v: number(v) and v <= 0.9), "'auto' or a probability from 0 to 0.9"),
    "lean_on": (
        lambda v: v is None or (isinstance(v, str | int) and not isinstance(v, bool)),
        "'auto', None or the name of a column",
    ),
    "order": (
        lambda v: (
            v in ("fixed", "any") if isinstance(v, str) else isinstance(v, list | tuple) or hasattr(v, "__array__")
        ),
        "'fixed', 'any' or a list of all columns, as JSON on the command line",
    ),
    "width": (_auto_or(_whole(1, 4096)), "'auto' or a whole number from 1 to 4,096"),
    "depth": (_auto_or(_whole(0, 64)), "'auto' or a whole number from 0 to 64"),
    "network": (lambda v: isinstance(v, str) and v in ("unet", "transformer"), "'unet' or 'transformer'"),
    "precision": (
        lambda v: isinstance(v, str) and v in ("auto", "float32", "bfloat16"),
        "'auto', 'float32' or 'bfloat16'",
    ),
    "maps": (lambda v: isinstance(v, str) and v in BIJECTIONS, "'spline' or 'affine'"),
    "structure": (
        lambda v: isinstance(v, str) and v in ("coupling", "autoregressive"),
        "'coupling' or 'autoregressive'",
    ),
    "path": (lambda v: isinstance(v, str) and v in PATHS, "'preserving', 'exploding' or 'straight'"),
    "target": (lambda v: isinstance(v, str) and v in TARGETS, "'v', 'velocity', 'data' or 'noise'"),
    "solver": (lambda v: isinstance(v, str) and v in SOLVERS, "'dpm', 'heun', 'euler' or 'ancestral'"),
    "steps": (_whole(1, 10_000), "a whole number from 1 to 10,000"),
    "guidance": (number, "a number, at least 0"),
    "transforms": (_whole(1, 256), "a whole number from 1 to 256"),
    "bins": (_whole(1, 256), "a whole number from 1 to 256"),
    "latent": (_auto_or(_whole(1, 4096)), "'auto' or a whole number from 1 to 4,096"),
    "loss": (lambda v: isinstance(v, str) and v in GAMES, "'relativistic', 'classical' or 'minimax'"),
    "noise": (lambda v: isinstance(v, str) and v in CORRUPTIONS, "'masking', 'gaussian' or 'none'"),
    "level": (lambda v: number(v) and v > 0, "a number above 0"),
    "penalty": (_auto_or(number), "'auto' or a number, at least 0"),
    "candidates": (_auto_or(_whole(1, 4096)), "'auto' or a whole number from 1 to 4,096"),
    "samples": (_whole(1, 2**20), "a whole number, at least 1"),
    "beta": (lambda v: number(v) and v > 0, "a number above 0"),
    "free": (number, "a number of nats, at least 0"),
    "rate": (_auto_or(lambda v: number(v) and 0 < v <= 1), "'auto' or a number above 0, at most 1"),
    "decay": (_auto_or(lambda v: number(v) and v <= 100), "'auto' or a number from 0 to 100"),
    "batch": (_auto_or(_whole(1)), "'auto' or a whole number, at least 1"),
    "device": (lambda v: isinstance(v, str), "'auto' or the name of a device, as 'cpu'"),
    "epochs": (_auto_or(_whole(1)), "'auto' or a whole number, at least 1"),
    "validation": (lambda v: number(v) and v <= 0.5, "a share of the rows from 0 to 0.5"),
    "seconds": (lambda v: v is None or (number(v) and v > 0), "a number of seconds above 0, or None"),
}
"""What each other hyper-parameter may be, as a test and in words."""
DRAWN_FROM = (np.random.Generator, np.random.RandomState, torch.Generator)
"""Random states that are generators already."""


def check(recipe: Generative) -> None:
    """Raise BegatError for a hyper-parameter that is none, whatever the rows are."""
    for name, options in OPTIONS.items():
        said = getattr(recipe, name)
        if not isinstance(said, str) or said not in options:
            raise BegatError(f"{name} is {shown(said)}{did_you_mean(said, options)}")
    for name, said in recipe.get_params(deep=False).items():
        if name in NUMBERS:
            for value in said.values() if isinstance(said, Mapping) else (said,):
                if not number(value):
                    raise BegatError(f"{name} is {shown(value)}; give a finite number, at least 0")
        elif name in ALLOWED:
            holds, words = ALLOWED[name]
            auto = _has_auto(recipe, name)
            if not holds(said) or (isinstance(said, str) and said == "auto" and not auto):
                raise BegatError(f"{name} is {shown(said)}; give {words if auto else words.removeprefix(AUTO)}")
    if not isinstance(recipe.random_state, DRAWN_FROM):
        generator(recipe.random_state)
    wishes(getattr(recipe, "leaves", "auto"), ())
    schema(recipe)


def _has_auto(recipe: Generative, name: str) -> bool:
    """Whether "auto" is what this estimator has for a hyper-parameter where nothing is said."""
    return bool(signature(type(recipe)).parameters[name].default == "auto")


def check_columns(recipe: Generative, names: Iterable[Any], target: Any) -> None:
    """Raise BegatError for a mapping of columns that names one which is neither among the names nor the target."""
    names = list(names)
    for each, said in recipe.get_params(deep=False).items():
        for key in said if each in ("leaves", *NUMBERS) and isinstance(said, Mapping) else ():
            if key not in names and key != target:
                raise BegatError(f"{each} names a column {key!r} that X lacks{did_you_mean(key, names)}")


def schema(recipe: Generative) -> Schema | None:
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
