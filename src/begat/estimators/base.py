"""What every estimator does alike: the verbs, Bayes' rule, and the way of a table in and out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Generator, Tensor

from begat.codecs import frame
from begat.codecs.levels import Missing, Unseen
from begat.codecs.table import Encoded
from begat.core import Batch, Likelihood, Region
from begat.errors import DataError
from begat.estimators import saved, store
from begat.estimators.border import Border
from begat.estimators.fill import fill
from begat.estimators.offered import offered
from begat.estimators.rows import assemble
from begat.estimators.target import Role
from begat.random import Seed, generator
from begat.schema import Column, Schema


class Generative(BaseEstimator):
    """A recipe for a joint distribution of a table, and the fit of it.

    A subclass fits `model_` and answers the abstract questions below on encoded batches; the verbs are here. Fitted
    attributes: schema_ (with the target, if any), role_ ("classification", "regression", "density"), named_ (the
    target is a column of X), classes_ (classification), model_ (the mathematics), border_ (the way of tables in and
    out), likelihood, n_features_in_.
    """

    leaves: Any
    missing: Missing
    unseen: Unseen
    task: str
    schema: Schema | None
    random_state: Seed
    schema_: Schema
    role_: Role
    named_: bool
    classes_: Any
    border_: Border
    model_: Any
    _held: dict[str, Any]  # of a loaded model: what of the training rows its file says it has

    # what a family answers, on encoded rows -----------------------------------------------------------------------
    @abstractmethod
    def _log_joint(self, batch: Batch) -> Tensor:
        """log P(x, y) of every class -> (K, n) float64; K = 1 without classes."""

    def _log_known(self, batch: Batch) -> Tensor:
        """log P(x, y) of rows with their classes y in cond -> (n,) float64."""
        assert batch.cond is not None
        return self._log_joint(batch.having(cond=None)).gather(0, batch.cond[None])[0]

    @abstractmethod
    def _log_posterior(self, batch: Batch) -> Tensor:
        """log P(y | x) -> (K, n) float64; the prior where no class can produce a row."""

    @abstractmethod
    def _draw(self, n: int, rng: Generator) -> Batch:
        """n encoded rows; their classes in cond."""

    @abstractmethod
    def _complete(self, batch: Batch, regions: Mapping[str | int, Region], rng: Generator) -> Batch:
        """The rows with what is unknown (class -1 too) drawn from its posterior, within the regions of columns."""

    @abstractmethod
    def _expected(self, batch: Batch) -> Tensor:
        """E[y | x] of a numeric target, in encoded numbers -> (n,) float64."""

    # the way in ---------------------------------------------------------------------------------------------------
    def _set_out(self, border: Border) -> None:
        """What is known of a fit before it has seen its rows as tensors."""
        schema = border.schema
        self.border_, self.schema_, self.role_, self.named_ = border, schema, border.role, border.named
        self.n_features_in_ = len(schema.features)
        names = [c.name for c in schema.features]
        if all(isinstance(n, str) for n in names) and schema.container != "numpy":
            self.feature_names_in_ = np.array(names, dtype=object)
        if border.role == "classification":
            self.classes_ = border.classes

    def _encode(self, X: Any, y: Any = None, *, ignore_target: bool = False) -> Encoded:
        check_is_fitted(self, "model_")
        return self.border_.encode(X, y, missing=self.missing, unseen=self.unseen, ignore_target=ignore_target)

    # Bayes' rule --------------------------------------------------------------------------------------------------
    @offered("classification")
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """log P(y | x) = log P(y) + log P(x | y) - log P(x) -> (n, classes), nats; Bayes' rule.

        The log-prior for a row that is impossible under every class, as in `predict_proba`.
        """
        return self._posterior(X).T.numpy()

    @offered("classification")
    def predict_proba(self, X: Any) -> np.ndarray:
        """P(y | x) -> (n, classes), columns in the order of classes_.

        A row that is impossible under every class (outside the stated bounds of its columns, say) says nothing of its
        class: it has the prior P(y), and `log_prob` tells such rows by their -inf.
        """
        return self._posterior(X).exp_().T.numpy()

    def _posterior(self, X: Any) -> Tensor:
        """log P(y | x) of the rows of a table -> (K, n); the prior for rows off a grid or outside the stated bounds."""
        encoded = self._encode(X, ignore_target=True)
        log_p = self._log_posterior(encoded.batch)
        if encoded.possible is None:
            return log_p
        return torch.where(encoded.possible, log_p, self._log_posterior(assemble(self.border_.model, 1)))

    @offered("classification", "regression")
    def predict(self, X: Any) -> np.ndarray:
        """The most probable class argmax_y P(y | x) (maximum a posteriori), or E[y | x] of a numeric target -> (n,)."""
        check_is_fitted(self, "model_")
        if self.role_ == "classification":
            return self.classes_[self._posterior(X).argmax(0).numpy()]
        encoded = self._encode(X, ignore_target=True)
        mean = self._expected(encoded.batch)
        if encoded.possible is not None:
            mean = torch.where(encoded.possible, mean, self._expected(assemble(self.border_.model, 1)))
        return self.schema_[self.schema_.target].decoded(mean.numpy())

    # scores -------------------------------------------------------------------------------------------------------
    def log_prob(self, X: Any, y: Any = None) -> np.ndarray:
        """log P(x), or log P(x, y) where y is given or is a column of X -> (n,) float64, nats per row in data units.

        Mass where a column has a grid or levels, density in the column's own unit where it is continuous (see
        `likelihood`). A row outside the stated bounds or off a column's grid has -inf; an undeclared level is an error.
        """
        encoded = self._encode(X, y)
        batch = encoded.batch
        out = torch.logsumexp(self._log_joint(batch), 0) if batch.cond is None else self._log_known(batch)
        if encoded.possible is not None:
            out = out.masked_fill(~encoded.possible, -torch.inf)
        return out.numpy()

    def score_samples(self, X: Any) -> np.ndarray:
        """log_prob under the name that scikit-learn's density estimators have -> (n,), nats."""
        return self.log_prob(X)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean log-likelihood, nats per row; accuracy is `scoring="accuracy"`."""
        return float(self.log_prob(X, y).mean())

    @property
    def likelihood(self) -> Likelihood:
        """What log_prob is: its relation to the truth, unit and measure."""
        check_is_fitted(self, "model_")
        scored = [c for c in self.schema_.columns if c.scored]
        dense = [str(c.name) for c in scored if c.measure == "density"]
        measure = f"density in the units of {_some(dense)}" if dense else "mass"
        if 0 < len(dense) < len(scored):
            measure += f", mass of the other {len(scored) - len(dense)}"
        return Likelihood("=", "nats per row", measure, None, self.schema_.unscored, self.schema_.digest())

    # samples ------------------------------------------------------------------------------------------------------
    def sample(
        self,
        n: int | None = None,
        y: Any = None,
        given: Any = None,
        return_y: bool = False,
        random_state: Seed = None,
    ) -> Any:
        """n new rows that look like X: its columns, order, types, levels and decimals.

        y: a class for all rows or one for each. given: a mapping of column to a value, a set of values, or a range
        (low, high) with None for open ends; or a frame with one row for each wanted sample, whose missing cells are
        drawn (of pictures, an array with NaN for pixels to be drawn, or one such picture for all n). return_y: (X, y).
        Draws are exact draws from the joint conditioned on the evidence; evidence that has no probability is an
        EvidenceError.
        """
        check_is_fitted(self, "model_")
        rng = generator(random_state)
        if n is not None and (isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1):
            raise DataError(f"n is {n!r}; give a whole number of rows, at least 1")
        if given is not None and not isinstance(given, Mapping):
            batch = self._complete(self.border_.rows(n, y, given), {}, rng)
        else:
            n = 1 if n is None else n
            self.border_.check_room("n", int(n), 1)
            if y is None and not given:
                batch = self._draw(int(n), rng)
            else:
                batch = self._complete(*self.border_.evidence(int(n), y, given or {}), rng)
        drawn = self.border_.decode(batch, generator=rng)
        return drawn if return_y else drawn[0]

    # what is missing, what is odd ---------------------------------------------------------------------------------
    def impute(self, X: Any, draws: int | None = None, random_state: Seed = None) -> Any:
        """X with every missing cell drawn from its posterior given what is known of its row; known cells stay as is.

        draws: None for one frame; a number for a list of that many frames (multiple imputation). Columns that the
        model does not score stay as they are. A column keeps its dtype if that can hold the drawn values. DataError
        for a missing cell of a column that had no value in training.
        """
        check_is_fitted(self, "model_")
        if draws is not None and (isinstance(draws, bool) or not isinstance(draws, int | np.integer) or draws < 1):
            raise DataError(f"draws is {draws!r}; give a whole number, at least 1, or None for one frame")
        X = self.border_.framed(X)
        self.border_.check_room("draws", int(draws or 1), frame.length(X))
        rng = generator(random_state)
        made = self._filled(X, lambda batch, present: self._complete(batch, present, rng), int(draws or 1), rng)
        return made[0] if draws is None else made

    def _filled(
        self, X: Any, complete: Callable[[Batch, dict[Any, Region]], Batch], draws: int, rng: Generator
    ) -> list[Any]:
        """X, `draws` times, with its missing cells as `complete` has them, of columns that are not missing there."""
        batch, names = self.border_.partial(X, self.unseen), self.border_.names(X)
        inside = self.border_.sample.names  # a target that was no column of the fit's X stays as it is
        missing = {
            i: m for i, n in enumerate(names) if n in inside and (m := self.border_.missing(batch, n)) is not None
        }
        gaps = [self.schema_[names[i]] for i in missing]
        for column in gaps:
            if column.coded and not column.levels:
                raise DataError(f"column {column.name!r} had no value in training that could fill it; fit without it")
        where = {name: place for place, name in enumerate(inside)}
        present = {column.name: _present(column) for column in gaps if column.missing}
        made = []
        for _ in range(draws):
            full = complete(batch, present)
            drawn = self.border_.decode(full, generator=rng, container=frame.container(X))[0]
            made.append(fill(X, missing, {i: frame.column(drawn, where[names[i]]) for i in missing}))
        return [self.border_.shaped(each) for each in made]

    def surprise(self, X: Any, y: Any = None) -> Any:
        """-log P(cell | all other cells of its row) -> a frame (n, columns), nats on each column's own grid or unit.

        Mass of a level or a point of a grid, density where a column is continuous: seconds surprise by more than days,
        so that odd cells are those far above what is usual in their column. A cell that is unknown, or whose column is
        not scored, has NaN. Where y is given (or is a column of X) it is one of the other cells.
        """
        encoded = self._encode(X, y)
        cells = self._surprise(encoded.batch)
        names = [c.name for c in (self.schema_.columns if self.named_ else self.schema_.features)]
        X = self.border_.framed(X)
        blank = np.full(len(X), np.nan)
        columns = [cells.get(name, blank) for name in names]
        return self.border_.shaped(_like(X, frame.build(frame.container(X), names, columns)))

    @abstractmethod
    def _surprise(self, batch: Batch) -> dict[str | int, np.ndarray]:
        """The surprise of each scored column that the batch knows."""

    # one file -----------------------------------------------------------------------------------------------------
    def save(self, path: str | PathLike[str]) -> None:
        """Write the fitted model to one .safetensors file, whole or not at all; `begat.load` reads it.

        The file holds tensors and, in its header, the recipe as JSON; nothing in it is executed. FileError where it
        cannot be written.
        """
        check_is_fitted(self, "model_")
        saved.write(self, path)

    @abstractmethod
    def _describe(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The configuration of the fitted model as JSON, and its tensors."""

    @classmethod
    @abstractmethod
    def _layout(cls, header: Mapping[str, Any], schema: int) -> dict[str, store.Slot]:
        """The tensors that a header's model has, allocating nothing large; `schema` is its number of columns."""

    @abstractmethod
    def _restore(self, model: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        """Set the fitted attributes from what `_describe` gave; schema, role and border are there."""

    @abstractmethod
    def _contains(self) -> dict[str, Any]:
        """What of the training rows the fitted model holds, for a person to read."""

    # scikit-learn -------------------------------------------------------------------------------------------------
    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def _role(self) -> str:
        """What the estimator is: as fitted, else as its task says; "auto" counts as a classifier until it is fitted."""
        return getattr(self, "role_", None) or {"auto": "classification"}.get(self.task, self.task)

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, RegressorTags

        tags, role = super().__sklearn_tags__(), self._role()
        if role == "classification":
            tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags()
        elif role == "regression":
            tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
        else:
            tags.estimator_type = "density_estimator"
        tags.target_tags.required = self.task in ("classification", "regression")
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags


def _like(X: Any, made: Any) -> Any:
    """A frame with the rows of X, under X's row labels where it has any."""
    if hasattr(X, "index"):
        made.index = X.index
    return made


def _present(column: Column) -> Region:
    """Every value of a column but the missing one."""
    return Region(codes=torch.arange(column.codes) < column.codes - 1)


def _some(names: list[str], limit: int = 6) -> str:
    """A few names in words."""
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
