"""One row of a comparison: what came of an entry, with the reason beside everything that did not come."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from begat.compare.entry import Entry
from begat.compare.figures import BY_KEY
from begat.metrics.score import Score

Status = Literal["waiting", "done", "failed", "skipped", "interrupted"]


class Drawn(NamedTuple):
    """pixels: (n, height, width[, channels]), levels as they are. labels: (n,) as text, or None."""

    pixels: np.ndarray
    labels: np.ndarray | None


@dataclass
class Row:
    """What came of one entry. reason: why, if not done. seconds: by verb. copying: why it is flagged.

    log_prob: (held-out rows,) nats, where it compares with the floor's. drawn: of pictures, some that it made.
    """

    entry: Entry
    status: Status = "done"
    reason: str = ""
    scores: dict[str, Score] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    relation: str = ""
    likelihood: str = ""
    copying: str = ""
    notes: list[str] = field(default_factory=list)
    model: Any = None
    log_prob: np.ndarray | None = None
    drawn: Drawn | None = None

    @property
    def name(self) -> str:
        return self.entry.name


def absence(row: Row) -> str:
    return {
        "ceiling": "real rows are not a model",
        "synthetic": "rows without a model",
        "twin": "a model of the target alone",
        "floor": "the floor has none",
    }.get(row.entry.role, "this model does not offer it")


def absent(key: str, why: str) -> Score:
    return Score.absent(why, BY_KEY[key].unit, BY_KEY[key].better)


def why(verb: str, error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    text = f"{verb} failed: {type(error).__name__}: {first}" if first else f"{verb} failed: {type(error).__name__}"
    return text if len(text) <= 300 else text[:297] + "..."


class timed:
    """Adds the seconds of its block to the row's."""

    def __init__(self, row: Row, what: str):
        self.row, self.what = row, what

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        spent = time.perf_counter() - self.start
        self.row.seconds[self.what] = self.row.seconds.get(self.what, 0.0) + spent


class noticed:
    """Warnings of its block become notes of the row, each once."""

    def __init__(self, row: Row):
        self.row = row
        self.catch = warnings.catch_warnings(record=True)

    def __enter__(self) -> None:
        self.heard = self.catch.__enter__()
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", category=UserWarning)
        warnings.filterwarnings("always", category=RuntimeWarning)

    def __exit__(self, *error: Any) -> None:
        self.catch.__exit__(*error)
        for one in self.heard or []:
            text = str(one.message).strip().splitlines()[0]
            if text not in self.row.notes:
                self.row.notes.append(text)
