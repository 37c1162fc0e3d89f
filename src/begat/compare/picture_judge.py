"""One row of a comparison of pictures: bits per dimension, distance in features of a network, samples to look at."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from begat.codecs.pictures import levels_of
from begat.compare.judge import Judge
from begat.compare.plan import Plan
from begat.compare.recogniser import Recogniser, principal
from begat.compare.row import Drawn, Row, absent, noticed, timed, why
from begat.compare.split import Split
from begat.compare.table import Table
from begat.errors import did_you_mean
from begat.estimators.base import Generative
from begat.metrics import detection, privacy
from begat.metrics.columns import Feature, drawn, label
from begat.metrics.frechet import frechet
from begat.metrics.score import Score, mean
from begat.random import mixed

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 200
"""Pictures of each row that are kept to be looked at."""


class PictureJudge(Judge):
    """As Judge, of pictures: rows are their pixels, and begat's models learn from them as pictures.

    Features are those of a network that learns the classes of the training pictures, before the first row; where there
    are no classes, the principal components of their pixels.
    """

    def __init__(self, table: Table, split: Split, plan: Plan):
        super().__init__(table, split, plan)
        self.recogniser: Recogniser | None = None
        self.see: Callable[[Any], np.ndarray] | None = None
        self.levels, self.seconds = levels_of(table.schema), 0.0

    def judge(self, row: Row, tell: Callable[[str], None]) -> None:
        """Fill the row. KeyboardInterrupt passes through with the figures so far in place."""
        if self.see is None:
            tell("a network that recognises the classes" if self.table.classes else "principal components")
            begun = perf_counter()
            self._learn_to_see()
            self.seconds = perf_counter() - begun
        super().judge(row, tell)
        if row.model is self.recogniser and row.model is not None:
            row.seconds["fit"] = self.seconds

    def _learn_to_see(self) -> None:
        train, held = self.split.train, self.split.held_out
        if not self.table.classes or len(np.unique(self.learnt)) < 2:
            self.see, count = principal(train[self.features].to_numpy())
            self.seen_by = f"{count} principal components of the training pictures' pixels"
            return
        assert self.table.picture is not None
        self.recogniser = Recogniser(self.table.picture, levels=self.levels, seed=self.plan.seed)
        self.recogniser.fit(train[self.features], train[self.target])
        self.see = self.recogniser.features
        guessed = [label(v) for v in self.recogniser.predict(held[self.features])]
        right = float(np.mean([self.names[t] == g for t, g in zip(self.truth, guessed, strict=True)]))
        self.seen_by = f"features of a network that is right about {right:.1%} of held-out pictures"

    def _fit(self, model: Any, role: str) -> Any:
        if isinstance(model, Recogniser) and self.recogniser is not None:
            return self.recogniser
        if not isinstance(model, Generative) or role == "floor":
            return super()._fit(model, role)
        if role == "own" and model.schema is None:
            model.set_params(schema=self.table.schema)
        train = self.split.train
        return model.fit(self._pictures(train), None if self.target is None else train[self.target].to_numpy())

    def _pictures(self, rows: pd.DataFrame) -> np.ndarray:
        assert self.table.picture is not None
        return rows[self.features].to_numpy().reshape(-1, *self.table.picture)

    # likelihood ---------------------------------------------------------------------------------------------------
    def _likelihood(self, row: Row) -> dict[str, Score]:
        found = super()._likelihood(row)
        if found["gain"].value is None:
            return found | {"bits": absent("bits", found["gain"].note)}
        try:
            return found | {"bits": self._bits(row)}
        except Exception as error:
            row.notes.append(why("bits/dim", error))
            return found | {"bits": absent("bits", row.notes[-1])}

    def _bits(self, row: Row) -> Score:
        """-log2 P(picture) / pixels, of the pixels whatever the label."""
        model, held = row.model, self.split.held_out
        log_prob = self.floor if row.entry.role == "floor" else row.log_prob
        assert log_prob is not None
        if self.target is not None and row.entry.role == "floor":  # whose columns are independent
            log_prob = log_prob + np.asarray(model.surprise(held)[self.target], dtype=np.float64)
        elif self.target is not None:
            log_prob = np.asarray(model.log_prob(held[self.features]), dtype=np.float64)
        odd = int((~np.isfinite(log_prob)).sum())
        if odd:
            return absent("bits", f"{odd} pictures have no finite log-probability")
        return mean(-log_prob / (math.log(2) * len(self.features)), "bits", "lower")

    # samples ------------------------------------------------------------------------------------------------------
    def _samples(self, row: Row, tell: Callable[[str], None], rows: pd.DataFrame) -> None:
        missing = [n for n in self.features if n not in rows.columns]
        if missing:
            hint = did_you_mean(missing[0], rows.columns)
            row.status, row.reason = "failed", f"its pictures have no pixel {missing[0]!r}{hint}"
            return
        self._keep(row, rows)
        train, held = self.split.train, self.split.held_out
        with noticed(row), timed(row, "judge"):
            self._compare(row, tell, held, rows)
            tell("copying")
            row.scores |= self._attempt(
                row, ["nearest", "copies", "copies_held_out"], lambda: self._copying(row, train, held, rows)
            )

    def _ceiling(self, row: Row, tell: Callable[[str], None]) -> None:
        train, held, seed = self.split.train, self.split.held_out, self.plan.seed
        half = np.random.default_rng(mixed(seed, "half")).permutation(len(held))
        first, second = (held.iloc[np.sort(h)] for h in (half[: len(held) // 2], half[len(held) // 2 :]))
        self._keep(row, held)
        with noticed(row), timed(row, "judge"):
            self._compare(row, tell, held, drawn(train, len(held), np.random.default_rng(mixed(seed, "ceiling"))))
            tell("copying")
            row.scores |= self._attempt(
                row, ["nearest", "copies", "copies_held_out"], lambda: self._copying(row, train, second, first)
            )

    def _compare(self, row: Row, tell: Callable[[str], None], held: pd.DataFrame, rows: pd.DataFrame) -> None:
        """Distance and detection of rows against held-out ones."""
        tell("feature distance")
        row.scores |= self._attempt(row, ["distance"], lambda: self._distance(held, rows))
        tell("detection")
        row.scores |= self._attempt(row, ["detection"], lambda: self._detection("detection", held, rows))

    def _distance(self, held: pd.DataFrame, rows: pd.DataFrame) -> dict[str, Score]:
        assert self.see is not None
        few = min(len(held), len(rows))
        sides = (held[self.features], rows[self.features].iloc[:few])
        return {"distance": frechet(*sides, self.see, unit="variance", seed=self.plan.seed)}

    def _detection(self, key: str, real: pd.DataFrame, rows: pd.DataFrame) -> dict[str, Score]:
        """By pixels where these are few, else by features."""
        import pandas as pd

        assert self.see is not None
        sides, names = [real[self.features], rows[self.features]], list(self.features)
        if self.plan.detection_by == "features":
            sides = [pd.DataFrame(self.see(side)).add_prefix("f") for side in sides]
            names = list(sides[0].columns)
        used = tuple(Feature(name, "number") for name in names)
        area = detection.detection_auc(*sides, rows=self.plan.detection_rows, seed=self.plan.seed, used=used)
        return {key: detection.folded(area), f"{key}_auc": area}

    def _copying(self, row: Row, train: pd.DataFrame, held: pd.DataFrame, rows: pd.DataFrame) -> dict[str, Score]:
        exchangeable, seed = self.split.exchangeable, self.plan.seed
        sides = (train[self.features], held[self.features], rows[self.features])
        found = privacy.copying(*sides, exchangeable=exchangeable, alike=True, seed=seed)
        row.copying = found.why.replace("rows", "pictures").replace("row", "picture") if found.flagged else ""
        return {"nearest": found.nearest, "copies": found.copies, "copies_held_out": found.own}

    def _keep(self, row: Row, rows: pd.DataFrame) -> None:
        """Some of the pictures, to be looked at; of the least numbers that fit."""
        few = rows.iloc[:SHOWN]
        pixels = np.clip(np.nan_to_num(self._pictures(few).astype(np.float64)), 0, self.levels - 1)
        labels = None
        if self.table.classes and self.target in few.columns:
            labels = np.array([label(v) for v in few[self.target].astype(object)], dtype=object)
        row.drawn = Drawn(np.rint(pixels).astype(np.uint8), labels)
