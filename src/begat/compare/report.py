"""What a comparison found: one row a model, every figure with its error, and what may be concluded."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from begat.compare.figures import BY_KEY, Figure, shown
from begat.compare.plan import Plan
from begat.compare.row import Row
from begat.errors import BegatError
from begat.estimators.whole import whole
from begat.metrics.score import Score
from begat.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
RULE = (
    "the largest gain in held-out log-likelihood over the floor, by more than 2 standard errors, among models that do "
    "not copy training rows; without any likelihood, the best detection that is better than the floor's"
)


@dataclass
class Report:
    """plan: what was to be done. rows: what came of each entry, in the plan's order. interrupted: by Ctrl-C.

    finished: whether every row had its turn; a file written along the way says that it is not. unwritten: why the
    folder lacks some of it, "" where it does not. seen_by: the features that pictures are compared in, in words.
    """

    plan: Plan
    schema: Schema
    fingerprint: str
    rows: list[Row] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    interrupted: bool = False
    finished: bool = False
    unwritten: str = ""
    seen_by: str = ""

    # figures ------------------------------------------------------------------------------------------------------
    @property
    def models(self) -> dict[str, Any]:
        """The fitted models by name."""
        return {r.name: r.model for r in self.rows if r.model is not None}

    def row(self, role: str) -> Row | None:
        """The row with this part in the comparison ("floor", "ceiling"), if it was reached."""
        return next((r for r in self.rows if r.entry.role == role), None)

    def score(self, name: str, key: str) -> Score:
        """One figure of one row: report.score("naive Bayes", "gain")."""
        row = {r.name: r for r in self.rows}[name]
        return row.scores[key]

    @property
    def measured(self) -> tuple[Figure, ...]:
        """The figures of this task that at least one row has a value for."""
        held = shown(self.plan.task, self.plan.target is not None, self.plan.picture is not None)
        return tuple(f for f in held if any(f.key in r.scores and r.scores[f.key].value is not None for r in self.rows))

    def ranks(self, key: str) -> bool:
        """Whether a figure ranks models: False where none of them beats the floor on it, or where nothing is better."""
        figure, floor = BY_KEY[key], self.row("floor")
        rivals = [r.scores[key] for r in self.rows if r.entry.role in ("model", "own", "synthetic") and key in r.scores]
        rivals = [s for s in rivals if s.value is not None]
        if figure.better == "none" or not rivals:
            return False
        if floor is None or key not in floor.scores or floor.scores[key].value is None:
            return True
        return any(s.beats(floor.scores[key]) for s in rivals)

    @property
    def table(self) -> pd.DataFrame:
        """One row a model, columns "figure [unit]" and "figure ±"; `units` has the units by column."""
        import pandas as pd

        columns: dict[str, list[Any]] = {"part": [r.entry.role for r in self.rows]}
        columns["status"] = [r.status for r in self.rows]
        for figure in self.measured:
            scores = [r.scores.get(figure.key) for r in self.rows]
            columns[f"{figure.title} [{self._unit(figure)}]"] = [_value(s) for s in scores]
            columns[f"{figure.title} ±"] = [math.nan if s is None or s.stderr is None else s.stderr for s in scores]
        columns["relation"] = [r.relation for r in self.rows]
        columns["copies training rows"] = [bool(r.copying) for r in self.rows]
        columns["fit [s]"] = [r.seconds.get("fit", math.nan) for r in self.rows]
        columns["why"] = ["; ".join([r.reason, *r.notes] if r.reason else r.notes) for r in self.rows]
        return pd.DataFrame(columns, index=pd.Index([r.name for r in self.rows], name="model"))

    @property
    def units(self) -> dict[str, str]:
        """The unit of every numeric column of `table`."""
        units = {"fit [s]": "seconds"}
        for figure in self.measured:
            units[f"{figure.title} [{self._unit(figure)}]"] = units[f"{figure.title} ±"] = self._unit(figure)
        return units

    @property
    def figures(self) -> pd.DataFrame:
        """Every figure as one line: model, figure, value, stderr, unit, better, ideal, ranks, note."""
        import pandas as pd

        lines = [
            {"model": r.name, "figure": key, **s.to_dict(), "ranks": key in BY_KEY and self.ranks(key)}
            for r in self.rows
            for key, s in r.scores.items()
        ]
        return pd.DataFrame(lines)

    def _unit(self, figure: Figure) -> str:
        return next((r.scores[figure.key].unit for r in self.rows if figure.key in r.scores
                     and r.scores[figure.key].value is not None), figure.unit)  # fmt: skip

    # conclusions --------------------------------------------------------------------------------------------------
    @property
    def best(self) -> str | None:
        """The name of the best generative model by RULE; None where no model is better than the floor."""
        able = [r for r in self.rows if r.entry.role in ("model", "own", "synthetic") and not r.copying]
        gains = {r.name: s for r in able if (s := r.scores.get("gain")) and s.value is not None}
        if gains:
            return _largest({name: s for name, s in gains.items() if s.finite and _above(s)})
        floor = self.row("floor")
        seen = {r.name: s for r in able if (s := r.scores.get("detection")) and s.value is not None}
        if floor is not None and "detection" in floor.scores:
            seen = {name: s for name, s in seen.items() if s.beats(floor.scores["detection"])}
        return _largest(seen)

    @property
    def verdict(self) -> str:
        """What may be concluded, in a few sentences."""
        from begat.compare.present import verdict

        had = sum(r.status != "waiting" for r in self.rows if r.status not in ("interrupted", "skipped"))
        return ("" if self.finished else f"Not finished: {had} of {len(self.rows)} rows. ") + verdict(self)

    # files --------------------------------------------------------------------------------------------------------
    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: versions, seed, data, plan, every figure with value, stderr, unit, better and note."""
        return {
            "format": FORMAT,
            "versions": _versions(),
            "seed": self.plan.seed,
            "data": {"fingerprint": self.fingerprint, "schema": self.schema.digest(), "rows": self.plan.rows},
            "plan": self.plan.to_dict(),
            "finished": self.finished,
            "interrupted": self.interrupted,
            "best": self.best,
            "rule": RULE,
            "verdict": self.verdict,
            "warnings": self.warnings,
            **({"seen_by": self.seen_by} if self.seen_by else {}),
            "figures": {
                f.key: {"title": f.title, "about": f.about, "better": f.better, "ranks": self.ranks(f.key)}
                for f in self.measured
            },
            "models": [
                {
                    "name": r.name,
                    "part": r.entry.role,
                    "about": r.entry.about,
                    "status": r.status,
                    "why": r.reason,
                    "relation": r.relation,
                    "likelihood": r.likelihood,
                    "copies": r.copying,
                    "seconds": {k: round(v, 3) for k, v in r.seconds.items()},
                    "notes": r.notes,
                    "scores": {k: s.to_dict() for k, s in r.scores.items()},
                }
                for r in self.rows
            ],
        }

    def to_json(self) -> str:
        """`to_dict` as text; numbers only, never NaN or infinity."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write results.json, compare.png and one file for each of begat's models, of pictures samples.png; the paths.

        A model that cannot be saved is a warning of the report, not an error.
        """
        from begat.compare.plot import plot
        from begat.compare.sheet import sheet
        from begat.estimators.base import Generative

        folder = Path(folder)
        written = [self.save_results(folder)]
        if any(r.scores for r in self.rows):
            written.append(plot(self, folder / "compare.png"))
        if any(r.drawn is not None for r in self.rows):
            written.append(sheet(self, folder / "samples.png"))
        for name, model in self.models.items():
            if not isinstance(model, Generative):
                continue
            path = folder / f"{file_name(name)}.safetensors"
            try:
                model.save(path)
                written.append(path)
            except (BegatError, OSError) as error:
                self.warnings.append(f"{name} was not saved: {error}")
        return written

    def save_results(self, folder: str | os.PathLike[str]) -> Path:
        """Write results.json alone; it replaces the old one in one step."""
        path = Path(folder) / "results.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as part:
            part.write_text(self.to_json(), encoding="utf-8")
        return path

    def __str__(self) -> str:
        from begat.compare.present import text

        return text(self)


def file_name(name: str) -> str:
    """A name as a plain file name: "naive Bayes (Gaussian)" becomes "naive-bayes-gaussian"."""
    words = "".join(c if c.isalnum() else " " for c in name.lower()).split()
    return "-".join(words) or "model"


def _value(score: Score | None) -> float:
    return math.nan if score is None or score.value is None else score.value


def _largest(scores: Mapping[str, Score]) -> str | None:
    return max(scores, key=lambda name: scores[name].value or 0.0) if scores else None


def _above(score: Score) -> bool:
    return score.value is not None and score.value > 2 * (score.stderr or 0.0)


def _versions() -> Mapping[str, str]:
    out = {"python": platform.python_version()}
    for package in ("begat", "torch", "numpy", "pandas", "scikit-learn"):
        try:
            out[package] = version(package)
        except PackageNotFoundError:
            out[package] = "not installed"
    return out
