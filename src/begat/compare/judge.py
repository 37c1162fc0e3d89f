"""One row of the comparison: fit, ask, score. What fails becomes the reason beside an empty figure, never a crash."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from begat.compare.figures import BY_KEY, shown
from begat.compare.measure import unlike
from begat.compare.plan import Plan
from begat.compare.probabilities import log_probabilities
from begat.compare.row import Row, absence, absent, noticed, timed, why
from begat.compare.split import Split
from begat.compare.table import Table
from begat.core import Likelihood
from begat.errors import DataError, did_you_mean
from begat.fitting.course import INTERRUPTED
from begat.metrics import classification, detection, privacy, regression
from begat.metrics.columns import label, numbers
from begat.metrics.likelihood import gain
from begat.metrics.score import Score, mean
from begat.metrics.utility import utility
from begat.random import mixed

if TYPE_CHECKING:
    import pandas as pd


class Judge:
    """The held-out rows and what every model is asked on them. The floor's row fills `floor`, `measure`."""

    def __init__(self, table: Table, split: Split, plan: Plan):
        self.table, self.split, self.plan = table, split, plan
        self.target = table.target
        self.features = [n for n in table.schema.names if n != self.target]
        self.floor: np.ndarray | None = None
        self.measure: Likelihood | None = None
        self.names: list[str] = []
        self.seen_by = ""
        if table.classes and self.target is not None:
            both = [split.train[self.target], split.held_out[self.target]]
            spelled = [[label(v) for v in s.astype(object)] for s in both]
            declared = {label(v) for v in table.schema[self.target].levels or ()}
            self.names = sorted(declared | set(spelled[0]) | set(spelled[1]))
            place = {name: k for k, name in enumerate(self.names)}
            self.learnt = np.array([place[v] for v in spelled[0]], dtype=np.int64)
            self.truth = np.array([place[v] for v in spelled[1]], dtype=np.int64)

    # one row ------------------------------------------------------------------------------------------------------
    def judge(self, row: Row, tell: Callable[[str], None]) -> None:
        """Fill the row. KeyboardInterrupt passes through with the figures so far in place."""
        entry = row.entry
        if entry.role == "ceiling":
            self._ceiling(row, tell)
        elif entry.rows is not None:
            self._samples(row, tell, entry.rows)
        else:
            tell("fit")
            with noticed(row), timed(row, "fit"):
                try:
                    assert entry.make is not None
                    row.model = self._fit(entry.make(), entry.role)
                except Exception as error:
                    row.status, row.reason = "failed", why("fit", error)
            ended = getattr(row.model, "ended_", "")
            if ended == INTERRUPTED:  # by Ctrl-C, at which a fit keeps its best weights and goes on
                row.model = None
                raise KeyboardInterrupt
            if ended:
                row.notes.append(f"its fit ended early: {ended}")
            if row.model is not None:
                self._ask(row, tell)

    def fill(self, row: Row) -> None:
        """Put the reason where a figure has none."""
        for figure in shown(self.table.role, self.target is not None, self.table.picture is not None):
            row.scores.setdefault(figure.key, Score.absent(row.reason or absence(row), figure.unit, figure.better))

    def _fit(self, model: Any, role: str) -> Any:
        train = self.split.train
        if role == "own" and "schema" in _parameters(model) and _parameters(model)["schema"] is None:
            model.set_params(schema=self.table.schema)
        if role == "floor" or self.target is None:
            model.fit(train)
        else:
            model.fit(train[self.features], train[self.target])
        return model

    def _ask(self, row: Row, tell: Callable[[str], None]) -> None:
        model, held = row.model, self.split.held_out
        with noticed(row), timed(row, "score"):
            if hasattr(model, "log_prob"):
                tell("log-likelihood")
                row.scores |= self._attempt(row, ["gain", "log_likelihood"], lambda: self._likelihood(row))
            if row.entry.role == "floor":
                row.scores |= self._attempt(row, [], self._constant)
            elif self.table.role == "regression" and hasattr(model, "predict"):
                row.scores |= self._attempt(
                    row, ["rmse", "mae", "r2"], lambda: self._numbers(model.predict(held[self.features]))
                )
            elif self.table.classes and hasattr(model, "predict"):
                row.scores |= self._attempt(
                    row, ["accuracy", "log_loss", "calibration", "auc", "rare"], lambda: self._classes(row)
                )
        if hasattr(model, "sample"):
            tell("sample")
            with noticed(row), timed(row, "sample"):
                try:
                    rows = self._draw(row)
                except Exception as error:
                    said = why("sample", error)
                    row.notes.append(said)
                    row.scores |= {k: absent(k, said) for k in BY_KEY if BY_KEY[k].group == "samples"}
                    return
            self._samples(row, tell, rows)

    @staticmethod
    def _attempt(row: Row, keys: list[str], ask: Callable[[], dict[str, Score]]) -> dict[str, Score]:
        try:
            return ask()
        except Exception as error:
            row.notes.append(why(", ".join(keys) or "the floor's prediction", error))
            return {k: absent(k, row.notes[-1]) for k in keys}

    # likelihood ---------------------------------------------------------------------------------------------------
    def _likelihood(self, row: Row) -> dict[str, Score]:
        model, held = row.model, self.split.held_out
        said = getattr(model, "likelihood", None)
        whole = row.entry.role == "floor" or self.target is None
        log_prob = model.log_prob(held) if whole else model.log_prob(held[self.features], held[self.target])
        log_prob = np.asarray(log_prob, dtype=np.float64)
        unit = BY_KEY["gain"].unit
        own = (
            mean(log_prob, unit, "none")
            if np.isfinite(log_prob).all()
            else Score.absent(f"{int((~np.isfinite(log_prob)).sum())} rows have no finite log-probability", unit)
        )
        if said is None:
            return self._unranked(row, own, "its log_prob does not say under which schema (no `likelihood`)")
        row.relation, row.likelihood = said.relation, str(said)
        if row.entry.role == "floor":
            self.floor, self.measure = log_prob, said
            return {"gain": Score(0.0, None, unit, "higher", None, "the floor itself"), "log_likelihood": own}
        if self.floor is None or self.measure is None:
            return self._unranked(row, own, "the floor has no likelihood to compare with")
        different = unlike(model, said, self.measure, self.table.schema)
        if different:
            return self._unranked(row, own, different)
        row.log_prob, found = log_prob, gain(log_prob, self.floor)
        if not found.finite:
            row.notes.append(found.note)
        return {"gain": found, "log_likelihood": own}

    @staticmethod
    def _unranked(row: Row, own: Score, reason: str) -> dict[str, Score]:
        """A log-likelihood that is no gain, and why: in the row, for a reader must not rank by it."""
        said = f"its likelihood does not compare: {reason}"
        row.notes.append(said)
        return {"gain": absent("gain", said), "log_likelihood": own.noted(said)}

    # prediction ---------------------------------------------------------------------------------------------------
    def _classes(self, row: Row) -> dict[str, Score]:
        model, asked = row.model, self.split.held_out[self.features]
        if not hasattr(model, "predict_proba"):
            predicted = np.array([label(v) for v in np.asarray(model.predict(asked), dtype=object)], dtype=object)
            truth = np.array([self.names[t] for t in self.truth], dtype=object)
            return {"accuracy": classification.accuracy(truth, predicted)}
        given = log_probabilities(model, asked)
        log_proba = np.full((len(asked), len(self.names)), -np.inf)
        for k, name in enumerate(model.classes_):
            if label(name) not in self.names:
                raise DataError(f"it predicts a class {name!r} that the target does not have")
            log_proba[:, self.names.index(label(name))] = given[:, k]
        if not np.allclose(np.exp(log_proba).sum(1), 1, atol=1e-4):
            raise DataError("its probabilities do not sum to one")
        return self._probabilities(log_proba)

    def _probabilities(self, log_proba: np.ndarray) -> dict[str, Score]:
        truth, proba = self.truth, np.exp(log_proba)
        return {
            "accuracy": classification.accuracy(truth, log_proba.argmax(1)),
            "log_loss": classification.log_loss(truth, log_proba),
            "calibration": classification.calibration_error(truth, proba),
            "auc": classification.area(truth, proba),
            "rare": classification.rare_precision(truth, proba, seed=self.plan.seed),
        }

    def _numbers(self, predicted: Any) -> dict[str, Score]:
        truth, predicted = numbers(self.split.held_out[self.target]), np.asarray(predicted, dtype=np.float64)
        return {
            "rmse": regression.rmse(truth, predicted),
            "mae": regression.mae(truth, predicted),
            "r2": regression.r2(truth, predicted),
        }

    def _constant(self) -> dict[str, Score]:
        """What the floor predicts: the target's distribution, whatever the other columns say."""
        if self.table.classes:
            prior = np.bincount(self.learnt, minlength=len(self.names)) + 1.0
            return self._probabilities(np.tile(np.log(prior / prior.sum()), (len(self.truth), 1)))
        if self.table.role == "regression":
            return self._numbers(np.full(len(self.split.held_out), np.nanmean(numbers(self.split.train[self.target]))))
        return {}

    # samples ------------------------------------------------------------------------------------------------------
    def _draw(self, row: Row) -> pd.DataFrame:
        """Synthetic rows with every column of the table, the target too."""
        import pandas as pd

        from begat.compare.table import as_pandas

        model, n, seed = row.model, self.plan.synthetic_rows, mixed(self.plan.seed, row.name) % 2**31
        accepted = inspect.signature(model.sample).parameters
        seeded = {"random_state": seed} if "random_state" in accepted else {}
        if "return_y" in accepted and row.entry.role != "floor" and self.target is not None:
            made, y = model.sample(n, return_y=True, **seeded)
            rows = as_pandas(made)
            if self.target not in rows.columns:
                rows[self.target] = pd.Series(np.asarray(y))
        else:
            made = model.sample(n, **seeded)
            if isinstance(made, tuple):
                raise DataError(
                    f"sample() gave a pair; expected a frame with the columns {self.table.schema.names[:4]}..."
                )
            rows = as_pandas(made)
        return rows

    def _samples(self, row: Row, tell: Callable[[str], None], rows: pd.DataFrame) -> None:
        """Every figure of synthetic rows."""
        train, held = self.split.train, self.split.held_out
        missing = [n for n in (c.name for c in self.table.schema if c.scored) if n not in rows.columns]
        if missing:
            row.status, row.reason = (
                "failed",
                f"its rows have no column {missing[0]!r}{did_you_mean(missing[0], rows.columns)}",
            )
            return
        with noticed(row), timed(row, "judge"):
            tell("detection")
            row.scores |= self._attempt(row, ["detection"], lambda: self._detection("detection", held, rows))
            row.scores |= self._attempt(
                row, ["detection_all"], lambda: self._detection("detection_all", self._all(), rows)
            )
            tell("copying")
            row.scores |= self._attempt(
                row, ["nearest", "copies", "copies_held_out"], lambda: self._copying(row, train, held, rows)
            )
            self._utility(row, tell, rows)

    def _all(self) -> pd.DataFrame:
        import pandas as pd

        return pd.concat([self.split.train, self.split.held_out], ignore_index=True)

    def _detection(self, key: str, real: pd.DataFrame, rows: pd.DataFrame) -> dict[str, Score]:
        side = self.plan.detection_rows if key == "detection" else self.plan.detection_all_rows
        seed = self.plan.seed
        area = detection.detection_auc(real, rows, self.table.schema, rows=side, seed=seed)
        return {key: detection.folded(area), f"{key}_auc": area}

    def _copying(self, row: Row, train: pd.DataFrame, held: pd.DataFrame, rows: pd.DataFrame) -> dict[str, Score]:
        exchangeable, seed = self.split.exchangeable, self.plan.seed
        found = privacy.copying(train, held, rows, self.table.schema, exchangeable=exchangeable, seed=seed)
        row.copying = found.why if found.flagged else ""
        return {"nearest": found.nearest, "copies": found.copies, "copies_held_out": found.own}

    def _utility(self, row: Row, tell: Callable[[str], None], rows: pd.DataFrame) -> None:
        held, target, most = self.split.held_out, self.target, self.plan.utility_rows
        if target is None:
            return
        tell("utility")
        row.scores |= self._attempt(
            row,
            ["utility"],
            lambda: {
                "utility": utility(
                    rows,
                    held,
                    target,
                    self.table.schema,
                    classes=self.table.classes,
                    rows=most,
                    seed=self.plan.seed,
                )
            },
        )

    def _ceiling(self, row: Row, tell: Callable[[str], None]) -> None:
        train, held, seed = self.split.train, self.split.held_out, self.plan.seed
        half = np.random.default_rng(mixed(seed, "half")).permutation(len(held))
        first, second = (held.iloc[np.sort(h)] for h in (half[: len(held) // 2], half[len(held) // 2 :]))
        with noticed(row), timed(row, "judge"):
            tell("detection")
            row.scores |= self._attempt(row, ["detection"], lambda: self._detection("detection", held, train))
            row.scores["detection_all"] = Score.absent("every real row is among all rows", "score", "higher")
            tell("copying")
            row.scores |= self._attempt(
                row, ["nearest", "copies", "copies_held_out"], lambda: self._copying(row, train, second, first)
            )
            self._utility(row, tell, train)


def _parameters(model: Any) -> Mapping[str, Any]:
    return model.get_params(deep=False) if hasattr(model, "get_params") else {}
