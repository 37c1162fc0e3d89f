"""What a comparison is about to do, and about how long it will take: said before it starts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from textwrap import fill
from typing import Any, Literal

from begat.codecs.pictures import levels_of, sides
from begat.compare.entry import BOOSTED, PICTURE_SECONDS, Entry
from begat.compare.split import Split
from begat.compare.table import Table
from begat.metrics import detection, privacy, utility

ALL_ROWS = 10_000
"""Detection against all rows takes this many a side, or as many as the primary figure if that has more."""
MADE, DETECTED = 500, 64
"""Pictures that each model is asked for, at least; pixels up to which detection sees them, and not their features."""
SHORTEST = 1_000
"""Detection is not cut below this many rows a side to fit into the minutes."""


@dataclass(frozen=True)
class Step:
    """One row of the table to come: its name, its part in the comparison, its estimated seconds."""

    name: str
    role: str
    about: str
    seconds: float


@dataclass(frozen=True)
class Plan:
    """The rows, the split, the models, the figures, the time.

    detection_rows, detection_all_rows (against all rows), privacy_rows, utility_rows: at most this many rows a side
    enter these figures. synthetic_rows: how many rows each model is asked for. minutes: the limit, or None. Where rows
    are pictures: picture, their shape, levels, of their pixels, and detection_by, what detection sees of them.
    """

    rows: int
    columns: int
    target: str | int | None
    task: str
    split: str
    train: int
    held_out: int
    synthetic_rows: int
    detection_rows: int
    detection_all_rows: int
    privacy_rows: int
    utility_rows: int
    steps: tuple[Step, ...]
    seed: int
    minutes: float | None = None
    notes: tuple[str, ...] = ()
    picture: tuple[int, ...] | None = None
    levels: int | None = None
    detection_by: Literal["columns", "pixels", "features"] = "columns"

    @property
    def noun(self) -> str:
        """What a row is."""
        return "row" if self.picture is None else "picture"

    @property
    def seconds(self) -> float:
        """The estimate for everything, on two cores."""
        return sum(step.seconds for step in self.steps)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "seconds": round(self.seconds, 1)}

    def __str__(self) -> str:
        goal = f", target {self.target!r} ({self.task})" if self.target is not None else ", no target"
        rows = f"{self.noun}s"
        size = f"x {self.columns} columns"
        figures = (
            f"figures: detection on {self.detection_rows:,} rows a side ({self.detection_all_rows:,} against all), "
            f"copying on {self.privacy_rows:,}" + (f", utility from {self.utility_rows:,}" if self.target else "")
        )
        if self.picture is not None:
            size = f"of {sides(self.picture)} pixels, {self.levels} levels"
            figures = (
                f"figures: bits per dimension; feature distance and detection (by {self.detection_by}) on "
                f"{self.detection_rows:,} pictures a side; copying on {self.privacy_rows:,}"
            )
        limit = "" if self.minutes is None else f" (limit: {self.minutes:g} min)"
        lines = [
            f"{self.rows:,} {rows} {size}{goal}",
            f"split: {self.split}: {self.train:,} {rows} to learn from, {self.held_out:,} to judge by "
            f"(seed {self.seed})",
            "rows of the table: " + ", ".join(s.name for s in self.steps),
            figures,
            f"time: about {spoken(self.seconds)}{limit}",
            *(f"note: {note}" for note in self.notes),
        ]
        return "\n".join(fill(line, 118, subsequent_indent="  ") for line in lines)


def plan(table: Table, split: Split, entries: tuple[Entry, ...], *, seed: int, minutes: float | None) -> Plan:
    """The plan for these entries; detection is cut to fewer rows where the estimate exceeds the minutes."""
    train, held, shown = len(split.train), len(split.held_out), table.picture is not None
    learn = min(train, utility.ROWS)
    side = min(detection.ROWS, train + held)
    notes = list(table.notes)
    pixels = len(table.schema) - (table.target is not None)
    while True:
        wide = min(side, max(held, ALL_ROWS), train + held)
        steps = tuple(
            Step(e.name, e.role, e.about, round(_seconds(e, table, train, held, min(held, side), wide), 1))
            for e in entries
        )
        if minutes is None or sum(s.seconds for s in steps) <= 60 * minutes or side <= SHORTEST:
            break
        side = max(SHORTEST, side // 2)
    if side < min(detection.ROWS, train + held):
        notes.append(f"detection is cut to {side:,} rows a side to fit into {minutes:g} minutes")
    if shown and table.classes and all(e.name != "gradient boosting" for e in entries) and pixels > BOOSTED:
        notes.append(f"gradient boosting is left out on more than {BOOSTED} pixels, unless it is named")
    if (held > detection.ROWS or learn < train) and not shown:
        notes.append("large tables are sampled for detection, copying and utility; likelihoods use all held-out rows")
    if held < 100:
        few = f"only {held} held-out {table.noun}s: detection and copying can tell little; read their errors"
        notes.append(few)
    if not split.exchangeable:
        notes.append("the split is not random: training rows are expected to be nearer, which flags no copying")
    return Plan(
        rows=train + held,
        columns=len(table.schema),
        target=table.target,
        task=table.role,
        split=split.said,
        train=train,
        held_out=held,
        synthetic_rows=max(held, MADE) if shown else max(learn, min(held, side), wide),
        detection_rows=min(held, side),
        detection_all_rows=wide,
        privacy_rows=min(held, privacy.ROWS),
        utility_rows=learn,
        steps=steps,
        seed=seed,
        minutes=minutes,
        notes=tuple(notes),
        picture=table.picture,
        levels=levels_of(table.schema) if shown else None,
        detection_by="columns" if not shown else "pixels" if pixels <= DETECTED else "features",
    )


def _seconds(entry: Entry, table: Table, train: int, held: int, side: int, wide: int) -> float:
    """Seconds on two cores, from cells and measured rates; right within a factor of two or so."""
    if table.picture is not None:
        return _picture_seconds(entry, table, train, held, side)
    width = len(table.schema)
    learn, once = train * width, 0.0 if entry.make is None else 0.3
    if entry.role == "twin":
        return once + (1e-5 if entry.linear else 2.5e-6) * min(train, 200_000) * width
    boosted = sum(0.3 + 1e-5 * 2 * n * width for n in (side, wide))
    copying = 0.2 + 2.5e-9 * min(held, privacy.REFERENCES) * privacy.ROWS * (2 + width / 4)
    useful = 0.3 + 1e-6 * min(train, utility.ROWS) * width if table.target is not None else 0.0
    return once + (0.0 if entry.make is None else entry.cell * learn + 4e-6 * held * width) + boosted + copying + useful


def _picture_seconds(entry: Entry, table: Table, train: int, held: int, side: int) -> float:
    """The same of pictures: likelihoods of each class and draws take longer, and a fit has at most its seconds."""
    pixels, made = len(table.schema), max(held, MADE)
    if entry.role == "twin":
        slow = {"gradient boosting": 1e-4, "logistic regression": 1e-5}.get(entry.name, 0.0)
        return 1 + slow * min(train, 200_000) * pixels
    judged = 4 + 1e-4 * 2 * side * min(pixels, 64) + 2.5e-9 * held * made * pixels
    asked = 5e-3 * (held + made) * pixels / 64 if entry.cell > 4e-6 else 0.5
    return judged + (0.0 if entry.make is None else asked + min(entry.cell * train * pixels, PICTURE_SECONDS))


def spoken(seconds: float) -> str:
    """Seconds as a person says them."""
    return f"{max(seconds, 1):.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
