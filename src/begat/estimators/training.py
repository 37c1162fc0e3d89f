"""The rows that a fit learns from, encoded: of a table, of floats as they lie in memory, of a source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from begat.codecs import frame, pictures
from begat.codecs.infer import infer_column
from begat.codecs.source import TableSource
from begat.codecs.table import shared
from begat.core import Batch
from begat.errors import DataError
from begat.estimators import leaves, parameters, target
from begat.estimators.border import Border, weights
from begat.estimators.target import Target
from begat.random import mixed
from begat.schema import Schema

if TYPE_CHECKING:
    from begat.estimators.base import Generative

SAMPLE = 20_000
"""Rows, evenly spaced over the table, that fix what leaves are relative to and choose among them."""
ORIGIN = 2048
"""Rows that suffice where all that the leaves need is an origin."""
MOST_HELD, LEAST_HELD = 4_000, 200
"""Rows that are held out at most, and at least where they are not a tenth of all."""
CHUNK = 65_536
"""Rows read at a time from a source that is not in memory."""


class Training(NamedTuple):
    """Encoded rows to learn from, the classes of a classifier in their cond.

    rows: how many there are. first: those that choose the leaves and fix what their statistics are relative to.
    batches: all of them, each once.
    """

    border: Border
    rows: int
    first: Batch
    batches: Iterable[Batch]


def framed(recipe: Generative, X: Any) -> tuple[Any, Schema | None]:
    """X as a frame, and its schema as far as it is stated, by the recipe or by the pictures that X holds."""
    given, shown = parameters.schema(recipe), pictures.array_of(X)
    if shown is None:
        return frame.as_frame(X), given
    X = frame.as_frame(shown)
    if given is not None and given.picture is not None:
        pictures.fits(shown.shape[1:], given.picture)
        return X, given
    return X, pictures.schema_of(shown, given)


def of_table(
    recipe: Generative, X: Any, goal: Target, given: Schema | None, weight: Any = None, classes: Any = None
) -> Training:
    """All rows of a table in memory, encoded at once. given: what is stated of its columns."""
    border = Border(_schema(recipe, X, goal, given, classes), goal.role, goal.named)
    batch = encoded(border, X, goal.values, weight, recipe)
    return Training(border, len(batch), batch, [batch])


def of_floats(recipe: Generative, X: Any, goal: Target, weight: Any = None) -> Training | None:
    """A large array of floats as it lies in memory, for Gaussians; None for other rows and leaves.

    That no number is missing or infinite is taken on trust, which saves a walk through the array: if one is, the sums
    over the rows are not finite either.
    """
    plain = isinstance(X, np.ndarray) and X.dtype in (np.float32, np.float64) and min(X.strides) > 0
    if not (plain and X.dtype.isnative and recipe.schema is None and recipe.leaves == "gaussian" and len(X) > SAMPLE):
        return None
    few = X[spaced(len(X), ORIGIN).numpy()]
    if goal.role == "regression" or not np.isfinite(few).all():
        return None
    schema = _schema(recipe, few, goal, None)
    schema = replace(schema, columns=tuple(replace(c, seen=None) for c in schema))
    border = Border(schema, goal.role, goal.named)
    none = torch.empty((len(X), 0), dtype=torch.int32)
    cond = border.labels(goal.values, len(X)) if goal.role == "classification" else None
    batch = Batch((shared(X), none), (None, None), cond, None if weight is None else weights(weight, len(X)))
    return Training(border, len(X), batch, [batch])


def of_source(recipe: Generative, source: TableSource, y: Any, weight: Any = None) -> Training:
    """Rows that are read in pieces; a sample of them comes first."""
    from begat.codecs.scan import scan

    if weight is not None:
        raise DataError("a source that is read in pieces takes no sample_weight; fit a frame in memory")
    if y is not None and not isinstance(y, str | int):
        raise DataError("for a source that is read in pieces, y is the name of one of its columns")
    given = parameters.schema(recipe)
    whole = given is not None and all(column.complete for column in given)
    schema = given if given is not None and whole else scan(source, schema=given, target=y)
    source = source.typed(schema)
    few = frame.as_frame(source.take(spaced(len(source), SAMPLE).tolist()))
    goal = target.split(few, y, recipe.task, schema)
    border = Border(_schema(recipe, few, goal, schema), goal.role, goal.named)

    def batch(piece: Any) -> Batch:
        piece = frame.as_frame(piece)
        y = None if goal.name is None else frame.column(piece, frame.names(piece).index(goal.name))
        return encoded(border, piece, y, None, recipe)

    return Training(border, len(source), encoded(border, few, goal.values, None, recipe), Read(source, batch))


@dataclass(frozen=True)
class Read:
    """The rows of a source in pieces, read anew by whoever walks over them."""

    source: TableSource
    encode: Callable[[Any], Batch]

    def __iter__(self) -> Iterator[Batch]:
        return map(self.encode, self.source.chunks(CHUNK))


def encoded(border: Border, X: Any, y: Any, weight: Any, recipe: Generative) -> Batch:
    """Rows of a table as the model sees them. DataError for rows that the schema rules out."""
    made = border.encode(X, None if border.named else y, missing=recipe.missing, unseen="error")
    if made.possible is not None and not bool(made.possible.all()):
        row = int((~made.possible).nonzero()[0, 0])
        raise DataError(f"row {row} has a number outside its column's stated bounds or off its grid; widen the schema")
    return made.batch if weight is None else made.batch.having(weight=weights(weight, len(made.batch)))


def spaced(n: int, most: int) -> Tensor:
    """At most `most` row numbers, evenly spaced from the first to the last."""
    return torch.linspace(0, n - 1, min(n, most), dtype=torch.float64).round().long()


def held_out(n: int, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Row numbers held out, a share of n (of few rows up to a tenth, if it is not 0), and a mask of the others."""
    rows = torch.randperm(n, generator=torch.Generator().manual_seed(mixed(seed, "held out")))
    share = share and max(share, min(LEAST_HELD / max(n, 1), 0.1))
    held, here = rows[: min(round(share * n), MOST_HELD)], torch.ones(n, dtype=torch.bool)
    here[held] = False
    return held, here


def _schema(recipe: Generative, X: Any, goal: Target, given: Schema | None, classes: Any = None) -> Schema:
    """The schema of a fit to rows like X: what is given, and for the rest what they show."""
    names = [n for n in frame.names(X) if n != goal.name]
    parameters.check_columns(recipe, names, goal.name)
    kinds = leaves.forced_kinds(recipe.leaves, names) if given is None else {}
    known = given[goal.name] if given is not None and goal.name in given.names and given[goal.name].complete else None
    if goal.role == "classification" and known is None:
        kinds[goal.name] = "category"
    if goal.role == "regression":
        assert goal.name is not None
        column = infer_column(goal.name, goal.values, target=True) if known is None else known
        if not column.numeric:
            kinds[goal.name] = target.number_kind(column)
    made = target.schema_of(X, goal, given, kinds, classes)
    if recipe.missing == "unknown":
        # That a value is missing is then no event: it has no probability, and no sample shows it.
        made = replace(made, columns=tuple(replace(c, missing=c.coded and not c.levels) for c in made.columns))
    if goal.role == "classification" and not made[goal.name].levels:
        raise DataError(f"the target {goal.name!r} has no class; give y at least one value")
    return made
