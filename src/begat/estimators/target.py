"""The target of a fit: a column of X by name or an array beside it; a class, a number or nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from begat.codecs import frame
from begat.codecs.column import encode_column
from begat.codecs.infer import infer, infer_column
from begat.errors import BegatError, DataError, did_you_mean
from begat.estimators.wish import number, shown
from begat.schema import CODED, Column, Schema

Role = Literal["classification", "regression", "density"]
FEW = 20
"""Whole numbers of at most this many distinct values are classes; more are too, if each has 20 rows on average."""


@dataclass(frozen=True)
class Target:
    """What y is. role: how the fit uses it. name: its column's, which is in X (`named`) or beside it. values: y itself.

    Without a target (role "density") name and values are None.
    """

    role: Role
    named: bool = False
    name: str | int | None = None
    values: Any = None


def split(X: Any, y: Any, task: str, schema: Schema | None) -> Target:
    """The target that `fit(X, y)` means.

    y as text, or as a number that names a column of a frame, is a name; anything else is an array beside X.
    """
    if task == "density" or y is None:
        if task in ("classification", "regression"):
            raise DataError(f"{task} requires y to be passed, but the target y is None")
        return Target("density")
    if isinstance(y, str | int | np.integer):
        y = int(y) if isinstance(y, np.integer) else y
        names = frame.names(X)
        if y not in names:
            raise DataError(f"no column {shown(y)} to use as the target{did_you_mean(y, names)}")
        cells = frame.column(X, names.index(y))
        return Target(_role(cells, y, task, schema), True, y, cells)
    values = _array(y)
    if len(values) != frame.length(X):
        raise DataError(f"y has {len(values)} values but X has {frame.length(X)} rows; give one for each row")
    name = schema.target if schema is not None and schema.target is not None else getattr(y, "name", None)
    taken = set(frame.names(X))
    name = name if isinstance(name, str | int) and name not in taken else "y"
    while name in taken:
        name = f"{name}_"
    return Target(_role(values, name, task, schema), False, name, values)


def _array(y: Any) -> Any:
    """y as one column; scikit-learn's column vector (n, 1) is accepted with its warning."""
    if hasattr(y, "to_numpy") and getattr(y, "ndim", 1) == 1:
        return y
    try:
        values = np.asarray(y)
    except ValueError:
        raise DataError("y has rows of different lengths; bad input shape, expected one value for each row") from None
    if np.ma.is_masked(y):
        row = int(np.flatnonzero(np.ma.getmaskarray(y))[0])
        raise DataError(f"y is masked in row {row}; drop the rows without a target")
    if values.ndim == 2 and values.shape[1] == 1:
        import warnings

        from sklearn.exceptions import DataConversionWarning

        message = "A column-vector y was passed when a 1d array was expected; use y.ravel()"
        warnings.warn(message, DataConversionWarning, stacklevel=5)
        values = values[:, 0]
    if values.ndim != 1:
        raise DataError(f"y has the shape {values.shape}; bad input shape, expected one value for each row")
    if values.dtype.kind == "c":
        raise DataError("Complex data not supported: y has complex numbers; give their parts as columns")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        what = "NaN" if np.isnan(values[row]) else "infinity"
        raise DataError(f"Input y contains {what}, first in row {row}; drop these rows")
    return values


def _role(cells: Any, name: str | int, task: str, schema: Schema | None) -> Role:
    if task == "regression":
        return "regression"
    if task == "classification":
        if schema is None or name not in schema.names:
            _check_classes(cells, name)
        return "classification"
    stated = schema is not None and name in schema.names and schema[name].complete
    if not stated and isinstance(cells, np.ndarray) and cells.dtype.kind in "iu" and len(cells) and np.ptp(cells) < FEW:
        return "classification"
    column = schema[name] if schema is not None and stated else infer_column(name, cells, target=True)
    if column.kind in CODED:
        return "classification"
    if column.kind in ("identifier", "text"):
        raise DataError(f"the target {name!r} is {column.kind} ({column.why}); choose another, or make it a category")
    if column.kind == "datetime":
        raise DataError(f"the target {name!r} holds dates; give a category or a number")
    few = not stated and column.kind in ("count", "integer") and _few(column, cells)
    return "classification" if few else "regression"


def _check_classes(cells: Any, name: str | int) -> None:
    """Raise DataError for floats with fractions, which scikit-learn does not take for classes either."""
    values = np.asarray(cells) if getattr(cells, "dtype", None) in (np.float64, np.float32) else np.zeros(1)
    if (np.isfinite(values) & (values != np.round(values))).any():
        raise DataError(
            f"Unknown label type: the target {name!r} is continuous; use task='regression', or give its classes as text"
        )


def _few(column: Column, cells: Any) -> bool:
    """Whether whole numbers are so few that they are classes."""
    if column.seen is not None and np.ptp(column.encoded(np.array(column.seen))) < FEW:
        return True
    made = encode_column(column, cells, "unknown")
    assert made.values is not None
    numbers = made.values if made.known_values is None else made.values[made.known_values]
    distinct = len(np.unique(numbers)) + len(column.atoms)
    return distinct <= FEW or (distinct <= 10 * FEW and len(numbers) >= FEW * distinct)


def schema_of(X: Any, wanted: Target, given: Schema | None, kinds: dict[Any, Any], classes: Any = None) -> Schema:
    """The schema of a fit: the given one, or what the rows show; columns that the given one lacks are left out."""
    here, name = frame.names(X), wanted.name
    if given is None:
        schema = infer(X, kinds={n: k for n, k in kinds.items() if n in here})
    else:
        kept = [n for n in given.names if n in here]
        for column in given.columns:
            if column.name not in here and column.name != name:
                raise DataError(
                    f"X lacks the column {column.name!r} that the schema names{did_you_mean(column.name, here)}"
                )
        if not kept:
            raise DataError(f"the schema names no column of X{did_you_mean('', here)}")
        schema = infer(
            X,
            kinds={n: k for n, k in kinds.items() if n in kept},
            schema=given.only(kept),
            drop=[n for n in here if n not in kept],
        )
    shown = given is not None and given.picture is not None and len(schema) == math.prod(given.picture)
    picture = given.picture if given is not None and shown else None
    schema = replace(schema, target=None, container=frame.container(X), picture=picture)
    if name is None:
        return schema
    if not wanted.named:
        known = given[name] if given is not None and name in given.names and name not in kinds else None
        beside = infer_column(name, wanted.values, kind=kinds.get(name), given=known, target=True)
        schema = replace(schema, columns=(*schema.columns, beside), target=name)
    column = schema[name]
    if classes is not None and wanted.role == "classification":
        column = replace(column, levels=tuple(np.asarray(classes).tolist()))
        schema = schema.change(name, levels=column.levels)
    if wanted.role == "classification" and column.kind == "category" and not column.dtype.startswith("cat"):
        with suppress(TypeError):  # levels of several types have no order; they stay as they were found
            schema = schema.change(name, levels=tuple(sorted(column.levels or ())))
    if column.missing:
        raise DataError(
            f"the target {name!r} is missing in {column.missing_share:.1%} of the rows; drop these rows first"
        )
    return replace(schema, target=name)


def classes_of(column: Column) -> np.ndarray:
    """The classes in the order of the column's levels, in their natural dtype."""
    levels = list(column.levels or ())
    if len({type(v) for v in levels}) == 1 and not isinstance(levels[0], str):
        return np.array(levels)
    return np.array(levels, dtype=object)


def quantiles(numbers: Tensor, most: int, weight: Tensor | None = None) -> Tensor:
    """The inner edges of min(most, W^(1/3)) bins, at least 2, of equal weight; equal numbers share a bin.

    W is the sum of the weights, which are repetitions.
    """
    ordered, order = numbers.sort()
    reached = (torch.ones_like(numbers) if weight is None else weight[order].double()).cumsum(0)
    total = float(reached[-1])
    bins = min(most, max(2, round(total ** (1 / 3))))
    places = torch.linspace(0, max(total - 1, 0.0), bins + 1, dtype=torch.float64).round()
    at = torch.searchsorted(reached, places, right=True).clamp(max=len(ordered) - 1)
    cuts = ordered[at[1:-1]].unique()
    return cuts[cuts > ordered[at[0]]]


def number_kind(column: Column) -> str:
    """The kind under which a regression takes a target whose values look like levels. DataError for words and dates."""
    levels = [v for v in column.levels or () if isinstance(v, int | float)]
    if not levels or len(levels) < len(column.levels or ()):
        raise DataError(f"the target {column.name!r} is {column.kind}, no number, which a regression needs")
    return "integer" if all(v == round(v) for v in levels) else "continuous"


def priors(wanted: Any, classes: np.ndarray) -> Tensor:
    """The person's class probabilities -> (K,)."""
    known = classes.tolist()
    if isinstance(wanted, str):
        if wanted != "uniform":
            raise BegatError(f"priors is {wanted!r}; give None, 'uniform', a probability for each class, or a mapping")
        return torch.full((len(known),), 1 / len(known), dtype=torch.float64)
    if hasattr(wanted, "to_dict"):  # a Series, as value_counts gives: its index names the classes
        wanted = wanted.to_dict()
    if isinstance(wanted, Mapping):
        odd = [c for c in wanted if c not in known]
        if odd or len(wanted) != len(known):
            raise BegatError(f"priors name {sorted(map(str, wanted))}; the classes are {sorted(map(str, known))}")
        wanted = [wanted[c] for c in known]
    p = np.asarray(wanted, dtype=object)
    if not all(map(number, p.flat)):
        raise BegatError(
            f"priors is {shown(wanted)}; give a probability, at least 0, for each of the {len(known)} classes"
        )
    if p.shape != (len(known),):
        raise BegatError(f"priors has the shape {p.shape}; give one probability for each of the {len(known)} classes")
    p = p.astype(np.float64)
    if (p > 1).any() or abs(p.sum() - 1) >= 1e-6:
        raise BegatError(f"priors are {shown(p.tolist())}; probabilities are at least 0 and sum to 1")
    return torch.from_numpy(p / p.sum())
