"""A schema from data: the kind of every column by the decision table, and what its kind needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from begat.codecs import frame
from begat.codecs.cells import Cells, cells
from begat.codecs.date_text import read_dates
from begat.codecs.dates import grain, settled, to_ticks
from begat.codecs.describe import described
from begat.codecs.facts import Ends, Facts
from begat.codecs.rules import decide
from begat.codecs.spelling import number_format
from begat.errors import DataError, SchemaError, did_you_mean
from begat.schema import CODED, KINDS, Column, Grid, Schema, TextFormat

FLOATS = "an array of floats"
DENSE = 1000
ROWS_AT_ONCE = 512


def infer(
    X: Any,
    *,
    kinds: Mapping[str | int, str] | None = None,
    drop: Iterable[str | int] = (),
    schema: Schema | None = None,
    target: str | int | None = None,
) -> Schema:
    """The schema of a frame, an array or a mapping of columns.

    kinds: a column's kind where a person knows better. drop: columns to leave out. schema: columns that are stated;
    what they leave open (levels, grid, tick) is filled from the data, and other columns are inferred. target: the
    column to predict, never taken as an identifier. An array's dtype states the kinds of its columns. DataError for
    infinities, cells that are no scalars and names that X does not have; SchemaError for kinds that the data refuse.
    """
    X = frame.as_frame(X)
    names, box = frame.names(X), frame.container(X)
    kinds, drop, stated, here = dict(kinds or {}), set(drop), schema, set(names)
    for name in (*kinds, *drop, *(() if target is None else (target,))):
        if name not in here:
            raise DataError(f"no column {name!r}{did_you_mean(name, names)}")
    for name, kind in kinds.items():
        if kind not in KINDS:
            raise SchemaError(f"column {name!r}: kind {kind!r} does not exist{did_you_mean(kind, KINDS)}")
    given = {} if stated is None else {c.name: c for c in stated.columns}
    for name in given:
        if name not in here and stated is not None and name != stated.target:
            raise SchemaError(f"the schema has a column {name!r} that the data lack{did_you_mean(name, names)}")
    if target is None and stated is not None and stated.target in here and stated.target not in drop:
        target = stated.target
    ends = _ends(X, names)
    if any(e.low != e.low for e in ends.values()):
        X = frame.by_columns(X)
    columns = []
    for i, (name, values) in enumerate(zip(names, frame.columns(X), strict=True)):
        if name in drop:
            continue
        end = ends.get(i)
        free = box == "numpy" and X.dtype.kind == "f" and name not in kinds and name not in given
        if free and end is not None and np.isfinite([end.low, end.high]).all():
            # Nothing is missing or infinite: there is no more to find out.
            made = Column(name=name, kind="continuous", dtype=str(X.dtype), why=FLOATS, example=str(X[0, i]))
            columns.append(replace(made, seen=(float(end.low), float(end.high))))
            continue
        known = given.get(name) if name not in kinds else None
        found = cells(values, name)
        place = {"target": name == target, "array": box == "numpy"}
        columns.append(infer_column(name, found, kind=kinds.get(name), given=known, ends=ends.get(i), **place))
    if not columns:
        raise DataError("every column is left out; keep at least one")
    return Schema(tuple(columns), target, box)


def infer_column(
    name: str | int,
    values: Any,
    *,
    kind: str | None = None,
    given: Column | None = None,
    target: bool = False,
    array: bool = False,
    ends: Ends | None = None,
) -> Column:
    """One column's entry in a schema; `infer` explains the arguments."""
    found = cells(values, name)
    if given is not None and given.complete and not (given.kind == "datetime" and given.tick is None):
        return _with_remainder(replace(given, dtype=found.dtype))
    kind = kind if kind is not None else given.kind if given is not None else None
    facts = Facts(name, found, ends, zeros=kind in ("count", "integer", "decimal", "continuous"))
    _refuse_infinity(facts)
    if kind is None:
        rule = decide(facts, target, array)
        made = described(_filled(rule.kind, facts, array), facts, rule.why(facts))
    else:
        made = described(_filled(kind, facts, array), facts)
    if given is None:
        return made
    said = {f.name: v for f in fields(Column) if (v := getattr(given, f.name)) != f.default and f.name != "dtype"}
    return _with_remainder(replace(made, **said))


def _with_remainder(column: Column) -> Column:
    """The column without special codes between its bounds where these are all points there: each has mass of its own.

    As special codes they would leave the remainder, which has some of the mass, no point to give it to.
    """
    if not column.atoms or column.grid is None:
        return column
    low, high = column.limits
    points = {a for a in column.atoms if low <= (k := column.encoded(a)) <= high and k == round(k)}
    if len(points) <= high - low:
        return column
    why = f"{column.why}; its special codes are all points between its bounds and need no code".removeprefix("; ")
    return replace(column, atoms=tuple(a for a in column.atoms if a not in points), why=why)


def _filled(kind: str, facts: Facts, array: bool) -> Column:
    """A column of this kind with what the kind needs: levels, a grid, special codes, a tick, a pattern."""
    name, dtype, missing = facts.name, facts.cells.dtype, facts.absent is not None
    text = TextFormat(missing=facts.token) if facts.token else None
    made = Column(name=name, kind=kind, dtype=dtype, missing=missing, text=text)  # type: ignore[arg-type]
    if kind in CODED:
        return replace(made, levels=_levels(kind, facts, array))
    if kind == "text":
        return made
    if kind == "identifier":
        return replace(made, pattern=_pattern(facts))
    if facts.rows == 0:
        raise SchemaError(f"column {name!r} has no values to be {kind}; every cell is missing")
    if kind == "datetime":
        return _dated(made, facts)
    if facts.cells.family == "booleans":
        facts = Facts(name, Cells("int8", facts.cells.values.astype(np.int8), mask=facts.cells.mask))
    if facts.numbers is None:
        if facts.cells.family == "dates":
            raise SchemaError(f"column {name!r} cannot be {kind}: it holds dates")
        word = next((w for w in facts.words if number_format([str(w)], zeros=True) is None), facts.words[0])
        raise SchemaError(f"column {name!r} cannot be {kind}: cells such as {word!r} are no numbers in one spelling")
    if facts.spelling is not None:
        made = replace(made, text=replace(facts.spelling, missing=facts.token))
    seen = (float(facts.low), float(facts.high))
    atoms = () if array else facts.atoms
    if kind == "continuous":
        return replace(made, atoms=atoms, seen=seen)
    grid = Grid() if array and facts.integral and facts.grid is not None and not facts.grid.offset else facts.grid
    if grid is None or (kind in ("count", "integer") and grid.decimals):
        raise SchemaError(f"column {name!r} cannot be {kind}: {_off(kind, facts)}")
    if kind == "count" and facts.floor < 0:
        raise SchemaError(f"column {name!r} cannot be count: its smallest value is {facts.floor}; counts start at 0")
    return replace(made, grid=grid, atoms=atoms, seen=seen, lower=0.0 if kind == "count" else None)


def _off(kind: str, facts: Facts) -> str:
    assert facts.numbers is not None
    if facts.integral:
        return "its whole numbers are more than 2^53 apart; make it continuous, a category or an identifier"
    off = facts.numbers[facts.numbers != np.rint(facts.numbers)]
    if kind in ("count", "integer") and len(off):
        return f"{off[0]} is no whole number"
    return "its numbers do not lie on a grid of at most 9 decimals"


def _levels(kind: str, facts: Facts, array: bool) -> tuple[Any, ...]:
    if facts.rows == 0 and not facts.cells.categorical:
        return ()
    if facts.cells.family == "dates":
        raise SchemaError(f"column {facts.name!r} cannot be {kind}: it holds dates; leave it datetime, or make it text")
    if kind == "boolean":
        if facts.pair is not None:
            return facts.pair
        if facts.cells.family == "numbers" and facts.numbers is not None and {facts.low, facts.high} <= {0, 1}:
            kind_of = facts.numbers.dtype.type
            if facts.low == facts.high or facts.binary:
                return kind_of(0).item(), kind_of(1).item()
    if array and facts.numbers is not None and facts.integral and facts.high - facts.low < DENSE:
        # The whole numbers of an array number its levels, from 0; one that no row has is a level all the same.
        return tuple(range(min(0, int(facts.low)), int(facts.high) + 1))
    levels = facts.levels() if facts.cells.family != "numbers" or facts.numbers is not None else ()
    if kind == "boolean" and len(levels) > 2:
        raise SchemaError(f"column {facts.name!r} cannot be boolean: it has {len(levels)} levels; state it as category")
    return levels


def _pattern(facts: Facts) -> str | None:
    if facts.numbers is not None and (facts.integral or facts.whole):
        return f"{{{int(facts.low)}..{int(facts.high)}}}"
    return facts.pattern


def _dated(made: Column, facts: Facts) -> Column:
    """Ticks: the coarsest that is exact, if fewer than 2**53 of them suffice."""
    found, zone = facts.cells.values, facts.cells.zone
    if facts.cells.family == "words":
        form = facts.date
        if form is None:
            raise SchemaError(f"column {made.name!r} cannot be datetime: its text is not in one format of dates")
        found = read_dates(facts.text, form[0])
        made = replace(made, text=TextFormat(missing=facts.token, date=form[0]))
    elif facts.cells.family != "dates":
        raise SchemaError(f"column {made.name!r} cannot be datetime: it holds {facts.cells.family}, not dates")
    elif facts.absent is not None:
        found = found[~facts.absent]
    ends = np.array([found.min(), found.max()])
    tick, offset = settled(grain(found, zone), ends, zone)
    low, high = to_ticks(ends, tick, zone).tolist()
    return replace(made, tick=tick, grid=Grid(offset=offset), seen=(float(low), float(high)))


def _ends(X: Any, names: tuple[str | int, ...]) -> dict[int, Ends]:
    """Smallest and largest of every column of a frame that is one block of numbers, in one walk through memory."""
    view = frame.block(X, list(range(len(names))))
    if view is None:
        return {}
    if view.flags.f_contiguous:
        pairs = [(c.min(), c.max()) for c in view.T]
    else:
        # Extremes of whole pieces, row by row, and of their rows at the end: two streams through memory.
        low, high = view[:ROWS_AT_ONCE].copy(), view[:ROWS_AT_ONCE].copy()
        for start in range(ROWS_AT_ONCE, len(view), ROWS_AT_ONCE):
            piece = view[start : start + ROWS_AT_ONCE]
            np.minimum(low[: len(piece)], piece, out=low[: len(piece)])
            np.maximum(high[: len(piece)], piece, out=high[: len(piece)])
        pairs = list(zip(low.min(axis=0), high.max(axis=0), strict=True))
    return {i: Ends(a.item(), b.item()) for i, (a, b) in enumerate(pairs)}


def _refuse_infinity(facts: Facts) -> None:
    values = facts.cells.values
    if facts.cells.family != "numbers" or values.dtype.kind != "f" or facts.rows == 0:
        return
    assert facts.numbers is not None
    if not np.isfinite([facts.low, facts.high]).all():
        row = int(np.argmax(np.isinf(values)))
        raise DataError(
            f"column {facts.name!r}, row {row}: infinity; Input X contains infinity or a value too large: "
            "replace it by a number, or by a missing value"
        )
