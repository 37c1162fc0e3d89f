"""The rows to learn from and the rows to judge by: one split for every model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from begat.errors import BegatError, DataError, did_you_mean
from begat.metrics.columns import label

if TYPE_CHECKING:
    import pandas as pd

SHARE = 0.2
"""Share of the rows that is held out."""
FEWEST = 20


@dataclass(frozen=True, eq=False)
class Split:
    """train and held_out: frames of all columns. said: how they were made. exchangeable: whether by chance alone."""

    train: pd.DataFrame
    held_out: pd.DataFrame
    said: str
    exchangeable: bool = True


def split(
    frame: pd.DataFrame,
    *,
    by_class: str | int | None = None,
    group: str | int | None = None,
    time: str | int | None = None,
    seed: int = 0,
    share: float = SHARE,
) -> Split:
    """Hold out a fifth of the rows, or another share of them if it is by chance.

    At random within each class of the column `by_class`, or at random without one. group: no value of that column on
    both sides. time: the last fifth in the order of that column, rows of the same time on one side; dates may be text
    if written as 2024-12-31. A class of one row stays on the training side. Raises DataError for fewer than 20 rows,
    unknown columns, missing groups or times, and where a side would be empty.
    """
    if group is not None and time is not None:
        raise DataError("a split is by group or by time, not by both; give one of them")
    if len(frame) < FEWEST:
        raise DataError(f"{len(frame)} rows are too few to compare models on held-out rows; give at least {FEWEST}")
    draw = np.random.default_rng(seed)
    if group is not None:
        held, said = _by_group(_complete(frame, group, "group"), group, draw)
    elif time is not None:
        held, said = _by_time(_complete(frame, time, "time"), time)
    else:
        held, said = _at_random(None if by_class is None else frame[by_class], draw, len(frame), share)
    train, test = (frame[keep].reset_index(drop=True) for keep in (~held, held))
    return Split(train, test, said, exchangeable=group is None and time is None)


def check_seed(seed: Any) -> None:
    """Raise BegatError for a seed that not all of the models compared can take."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise BegatError(f"seed is {seed!r}; give a whole number from 0 to 2^32 - 1")


def _complete(frame: pd.DataFrame, name: str | int, role: str) -> pd.Series:
    if name not in frame.columns:
        raise DataError(f"no column {name!r} to split by {role}{did_you_mean(name, frame.columns)}")
    missing = int(frame[name].isna().sum())
    if missing:
        raise DataError(f"the {role} column {name!r} is missing in {missing} rows; fill or drop them")
    return frame[name]


def _at_random(classes: pd.Series | None, draw: np.random.Generator, n: int, share: float) -> tuple[np.ndarray, str]:
    import pandas as pd

    code = np.zeros(n, np.int64) if classes is None else pd.factorize(classes.astype(object).map(label))[0]
    held = np.zeros(n, dtype=bool)
    for k in range(int(code.max()) + 1):
        rows = draw.permutation(np.flatnonzero(code == k))
        held[rows[: min(len(rows) - 1, round(share * len(rows)))]] = True
    if not held.any():
        held[draw.permutation(n)[: max(round(share * n), 1)]] = True
    return held, f"{share:.{0 if share >= 0.095 else 1}%} held out at random" + (
        "" if classes is None else " within each class"
    )


def _by_group(groups: pd.Series, name: str | int, draw: np.random.Generator) -> tuple[np.ndarray, str]:
    import pandas as pd

    code, found = pd.factorize(groups.astype(object))
    if len(found) < 2:
        raise DataError(f"column {name!r} has one group; a split by group needs at least 2")
    order = draw.permutation(len(found))
    size = np.bincount(code)[order]
    before = np.cumsum(size) - size
    chosen = order[before < SHARE * len(code)][: len(found) - 1]
    return np.isin(code, chosen), f"{len(chosen)} of {len(found)} groups of {name!r} held out, no group on both sides"


def _by_time(times: pd.Series, name: str | int) -> tuple[np.ndarray, str]:
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(times) and not pd.api.types.is_datetime64_any_dtype(times):
        try:
            times = pd.to_datetime(times.astype(object), utc=True, format="ISO8601")
        except (ValueError, TypeError):
            said = f"column {name!r} holds neither dates (as 2024-12-31) nor numbers; it has no order to split by"
            raise DataError(said) from None
    rank = times.rank(method="min").to_numpy()
    cut = np.sort(rank)[len(rank) - max(1, round(SHARE * len(rank)))]
    held = rank >= cut
    if held.all():
        held = rank > rank.min()
    if not held.any():
        raise DataError(f"column {name!r} has one value; a split by time needs at least 2")
    return held, f"the last {held.mean():.0%} by {name!r} held out (from {times[held].min()} on)"
