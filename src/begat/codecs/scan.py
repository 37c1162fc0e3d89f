"""The schema of a table that need not fit in memory: decided on a sample, widened by every row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from begat.codecs.grow import growth
from begat.codecs.infer import infer
from begat.codecs.source import BATCH, FrameSource, TableSource, open_source
from begat.codecs.typed import is_text, natural, natural_dtype
from begat.errors import DataError, did_you_mean
from begat.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

SAMPLE = 20_000
"""Rows, evenly spaced, that decide the kinds."""


def scan(
    source: TableSource | Any,
    *,
    kinds: Mapping[str | int, str] | None = None,
    drop: Iterable[str | int] = (),
    target: str | int | None = None,
    schema: Schema | None = None,
) -> Schema:
    """The schema of every row of a source (or of what `open_source` takes), in bounded memory.

    As `infer`, on a sample of evenly spaced rows in a first pass; a second pass then widens levels, grids, ticks,
    missing and what was seen, so that every row is allowed. A column of numbers or dates in which some later cell is a
    word becomes a category in one more pass, unless a person stated its kind: then DataError names the cell. What
    `schema` states completely stays as it is.
    """
    source = source if hasattr(source, "chunks") else open_source(source)
    if isinstance(source, FrameSource):
        return infer(source.frame, kinds=kinds, drop=drop, target=target, schema=schema)
    drop, kinds = list(drop), dict(kinds or {})
    for name in drop:
        if name not in source.names:
            raise DataError(f"no column {name!r}{did_you_mean(name, source.names)}")
    source = source.only([n for n in source.names if n not in drop])
    sample = _sample(source)
    found = natural(infer(sample, kinds=kinds, schema=schema, target=target), sample)
    stated = {c.name: c for c in schema or () if c.complete}
    grown = {c.name: c for c in found}
    todo = [n for n in grown if n not in stated or n in kinds]
    while todo:
        growths = {n: growth(grown[n]) for n in todo}
        for chunk in source.only(todo).chunks(BATCH):
            for name, grows in growths.items():
                grows.add(chunk[name])
        failed = [n for n, grows in growths.items() if grows.failed is not None]
        for name in failed:
            if name in kinds or (schema is not None and name in schema.names):
                raise DataError(str(growths[name].failed))
        grown.update({n: grows.done() for n, grows in growths.items() if n not in failed})
        if failed:
            for column in infer(sample[failed], kinds=dict.fromkeys(failed, "category")):
                text = None if column.text is None else replace(column.text, read=True)
                why = "numbers or dates in the sample, words in other rows"
                grown[column.name] = replace(column, text=text, why=why)
        todo = failed
    # Text becomes what the widened kind needs; other columns keep the dtype that the chunks have.
    columns = (replace(c, dtype=natural_dtype(c)) if is_text(sample[c.name]) else c for c in grown.values())
    return replace(found, columns=tuple(columns))


def _sample(source: TableSource) -> pd.DataFrame:
    """At most `SAMPLE` evenly spaced rows, in one pass over a source whose length need not be known."""
    import pandas as pd

    step, start = 1, 0
    held: list[tuple[np.ndarray, pd.DataFrame]] = []
    for chunk in source.chunks(BATCH):
        _refuse_infinity(chunk, start)
        rows = np.arange(-start % step, len(chunk), step)
        held.append((rows + start, chunk.iloc[rows]))
        start += len(chunk)
        while sum(len(places) for places, _ in held) > SAMPLE:
            step *= 2
            held = [(places[keep], part[keep]) for places, part in held for keep in [places % step == 0]]
    return pd.concat([part for _, part in held], ignore_index=True)


def _refuse_infinity(chunk: pd.DataFrame, start: int) -> None:
    """DataError with the row of the table, which `infer` could not know of a sample."""
    for name, values in chunk.select_dtypes("floating").items():
        infinite = np.isinf(values.to_numpy(dtype=np.float64, na_value=np.nan))
        if infinite.any():
            row = start + int(np.argmax(infinite))
            raise DataError(f"column {name!r}, row {row}: infinity; replace it by a number or a missing value")
