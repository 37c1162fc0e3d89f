"""Columns of frames as the numbers and codes that metrics compute with; real and synthetic frames share one coding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from begat.errors import DataError, did_you_mean
from begat.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

Role = Literal["level", "number", "date"]
LEVELS = 255
"""Histogram gradient boosting takes this many levels; the rarest beyond them are merged into one."""


@dataclass(frozen=True)
class Feature:
    """One column that metrics look at, and as what."""

    name: str | int
    role: Role


def features(real: pd.DataFrame, schema: Schema | None = None, without: str | int | None = None) -> tuple[Feature, ...]:
    """The columns to compare, by the schema's kinds (identifiers and free text left out), else by dtypes."""
    import pandas as pd

    found = []
    for name in real.columns if schema is None else schema.names:
        if name == without:
            continue
        if schema is not None:
            column = schema[name]
            if not column.scored:
                continue
            role: Role = "level" if column.coded else "date" if column.kind == "datetime" else "number"
        elif pd.api.types.is_datetime64_any_dtype(real[name]):
            role = "date"
        else:
            plain = pd.api.types.is_numeric_dtype(real[name]) and not pd.api.types.is_bool_dtype(real[name])
            role = "number" if plain else "level"
        found.append(Feature(name, role))
    if not found:
        raise DataError("no column is left to compare: all are identifiers or free text")
    return tuple(found)


def numbers(values: pd.Series) -> np.ndarray:
    """(n,) float64; what is no finite number is NaN."""
    import pandas as pd

    x = pd.to_numeric(values.astype(object) if values.dtype == "category" else values, errors="coerce")
    out = x.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(out), out, np.nan)


def seconds(values: pd.Series) -> np.ndarray:
    """(n,) float64 seconds since 1970; what is no date is NaN."""
    import pandas as pd

    stamp = pd.to_datetime(values.astype(object) if values.dtype == "category" else values, errors="coerce", utc=True)
    whole = stamp.dt.as_unit("us").astype("int64").to_numpy().astype(np.float64) / 1e6
    return np.where(stamp.isna().to_numpy(), np.nan, whole)


def measured(values: pd.Series, role: Role) -> np.ndarray:
    """(n,) float64 of a number, or seconds of a date."""
    return seconds(values) if role == "date" else numbers(values)


def drawn(frame: pd.DataFrame, rows: int, draw: np.random.Generator) -> pd.DataFrame:
    """So many rows of the frame, or all if it has fewer, drawn without replacement, in their order."""
    return frame.iloc[np.sort(draw.choice(len(frame), min(len(frame), rows), replace=False))]


def label(value: object) -> str:
    """One spelling for a level however a frame holds it: 3, 3.0 and "3" are one level, True and "True" too."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def codes(columns: Sequence[pd.Series], most: int | None = None) -> list[np.ndarray]:
    """Levels as shared whole numbers, the most frequent first, -1 where missing: a list of (n,) int64.

    With `most`, at most that many codes: the rarest levels share the last one.
    """
    import pandas as pd

    spelled = []
    for values in columns:
        code, found = pd.factorize(values.astype(object), use_na_sentinel=True)
        names = np.array([*(label(v) for v in found), None], dtype=object)
        spelled.append(pd.Series(names[code]))
    count = pd.concat(spelled).value_counts()
    order = pd.Index(sorted(count.index, key=lambda k: (-count[k], k)))
    out = [order.get_indexer(pd.Index(s)).astype(np.int64) for s in spelled]
    if most is not None and len(order) > most:
        out = [np.minimum(code, most - 1) for code in out]
    return out


def require(frames: Sequence[pd.DataFrame], used: Sequence[Feature]) -> None:
    """Raise where a frame lacks a column that is compared."""
    for frame in frames:
        for feature in used:
            if feature.name not in frame.columns:
                near = did_you_mean(feature.name, frame.columns)
                raise DataError(f"the rows to compare have no column {feature.name!r}{near}")


def matrix(frames: Sequence[pd.DataFrame], used: Sequence[Feature]) -> tuple[list[np.ndarray], list[bool]]:
    """Every frame as a (n, D) float64 matrix for boosting, and which of its D columns hold codes of levels.

    Missing is NaN. A date is three columns, its time, its day of the week and its day of the year, so that a season
    that was lost can be seen. Levels beyond the 254 most frequent share one code.
    """
    import pandas as pd

    require(frames, used)
    blocks: list[list[np.ndarray]] = [[] for _ in frames]
    coded: list[bool] = []
    for name, role in ((f.name, f.role) for f in used):
        if role == "level":
            coded.append(True)
            for block, code in zip(blocks, codes([f[name] for f in frames], LEVELS), strict=True):
                block.append(np.where(code < 0, np.nan, code.astype(np.float64)))
        elif role == "number":
            coded.append(False)
            for block, frame in zip(blocks, frames, strict=True):
                block.append(numbers(frame[name]))
        else:
            coded += [False, False, False]
            for block, frame in zip(blocks, frames, strict=True):
                time = seconds(frame[name])
                stamp = pd.to_datetime(pd.Series(time), unit="s", errors="coerce")
                block += [time, stamp.dt.day_of_week.to_numpy(np.float64), stamp.dt.day_of_year.to_numpy(np.float64)]
    return [np.column_stack(block) for block in blocks], coded
