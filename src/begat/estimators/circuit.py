"""The estimator of circuits: a hidden tree over the columns of a table, and every question about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from time import monotonic
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from begat.codecs.levels import Missing, Unseen
from begat.codecs.table import Slot
from begat.core import Batch, Region
from begat.errors import DataError, did_you_mean
from begat.estimators import circuit_file as file
from begat.estimators import circuit_fit, places_file, structure, training, trials
from begat.estimators.checkpoint import Checkpoint
from begat.estimators.circuit_fit import ROWS
from begat.estimators.cutting import Cut, cut
from begat.estimators.marginal import marginal_of
from begat.estimators.over_places import OverPlaces, stacked
from begat.estimators.store import Slot as TensorSlot
from begat.families.circuit import Circuit as Model
from begat.families.coupled import Coupled
from begat.families.coupling import Coupling
from begat.fitting.counted import pieces
from begat.fitting.course import INTERRUPTED
from begat.fitting.em import Course
from begat.leaves.places import Places
from begat.random import Seed, generator, seed_of
from begat.schema import Schema

BATCH = 1024
TRIALS = 0.5
"""Share of the seconds, where there are any, that trials may take."""


class Circuit(OverPlaces):
    """A circuit over any table: a hidden tree of latents with the columns on it, learnt by stepwise EM; exact.

        P(x) = sum_z P(z_1) prod_l P(z_l | z_parent(l)) prod_d P(x_d | z_host(d))

    A mixture of naive Bayes models is the circuit of one latent (shape="mixture"); the tree follows the mutual
    information of the columns. Any marginal and conditional is exact, to single precision (2e-5, relative). A category
    as y makes a classifier, a number a regression; either is a column of the one joint.

    units: states of each latent, or "auto": n^0.57 of n rows in eights, at most 256, and about 1,000 over the root of
    the columns; of up to 4,000 rows a quarter of them, and so on, where held-out rows are more probable by more than
    a standard error.
    rank: statistics of the table between two latents (maths.bilinear), or "auto": 6 of fewer than 2,000 rows, 4 of up
    to 4,000, of more one for each 3,000, from 3 to 8. hide: the probability with which a cell is hidden from a step of
    the fit; "auto" is .3 of fewer than 2,000 rows, else .1. lean_on: the column of numbers that others lean on, which
    are scored as what is left of them once it is known (families.coupled); "auto" takes the one that makes held-out
    rows most probable, if any does, None takes none. alpha: pseudo-rows, spread as the whole column, in each state's
    law of a column. leaves: each column's own law, as of NaiveBayes. epochs: passes over the rows, or "auto".
    validation: share of the rows held out to choose what is chosen; of few rows up to a tenth if it is not 0. seconds:
    the passes end after them, counted from the call, with the best state so far; the trials before them have half, or
    all they need where there is a checkpoint. task, missing, unseen, schema: as of NaiveBayes. random_state: of the
    start, the order of the rows and what is hidden: the same seed, the same fit, if no seconds end it.

    Fitted: units_ (the states of each latent), structure_ (the tree), history_ (held-out log-likelihood of the columns'
    dependence after each epoch, nats per row over independent columns), leaves_, leans_ (for each column that
    leans, the one it leans on), rows_, ended_ (why it ended before all that it would have tried, or "").

    Reference: Liu and Van den Broeck (2021), Tractable regularization of probabilistic circuits.
    """

    def __init__(
        self,
        *,
        units: int | str = "auto",
        shape: str = "tree",
        rank: int | str = "auto",
        hide: float | str = "auto",
        lean_on: str | int | None = "auto",
        alpha: float = 1.0,
        leaves: str | tuple[str, Mapping[str, Any]] | Mapping[Any, Any] = "auto",
        epochs: int | str = "auto",
        validation: float = 0.05,
        seconds: float | None = None,
        task: str = "auto",
        missing: Missing = "outcome",
        unseen: Unseen = "error",
        schema: Schema | None = None,
        random_state: Seed = 0,
    ):
        self.units = units
        self.shape = shape
        self.rank = rank
        self.hide = hide
        self.lean_on = lean_on
        self.alpha = alpha
        self.leaves = leaves
        self.epochs = epochs
        self.validation = validation
        self.seconds = seconds
        self.task = task
        self.missing = missing
        self.unseen = unseen
        self.schema = schema
        self.random_state = random_state

    model_: Model | Coupled
    structure_: structure.Structure

    # fit ----------------------------------------------------------------------------------------------------------
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        checkpoint: str | PathLike[str] | None = None,
        tell: Callable[[int, int, float | None], Any] | None = None,
    ) -> Self:
        """Learn the joint of X and y. X: a frame, an array, or a Source larger than memory (y is then a column's name).

        sample_weight: (n,) numbers of repetitions. checkpoint: a folder in which the fit leaves its state after each
        epoch; the same fit goes on from there, bit for bit. Rows held out count once each. tell: called after each
        epoch with its number, the number of epochs and the held-out score. Interrupted, a fit keeps its best state so
        far, and raises before there is one.
        """
        started, until = monotonic(), torch.inf
        rows = self._begin(X, y, sample_weight, checkpoint)
        if self.seconds is not None and checkpoint is None:  # what trials choose, a fit that goes on must find again
            until = started + TRIALS * self.seconds
        slots = self._joint.slots
        hub = None if self.lean_on in ("auto", None) else self._hub(slots)
        parts = cut(self.leaves, slots, rows, self._joint.put)
        n = len(parts.counted().cells)
        hide = circuit_fit.hidden(n) if self.hide == "auto" else float(self.hide)
        rank = circuit_fit.ranked(n) if self.rank == "auto" else int(self.rank)
        seed = seed_of(self.random_state)
        made = circuit_fit.Recipe(
            self._joint.spec, self._joint.target, self.shape == "tree", rank, self.alpha, hide, seed
        )
        first, found = self._joint.put(rows.first), None
        first = first if first.weight is None else first.rows(first.weight > 0)
        if self.lean_on is not None:
            found = trials.coupling(made, self.leaves, slots, parts, first, rows.border, hub, until)
        if found is not None:
            parts = trials.merged(parts, found, trials.leant(found, slots, rows, self._joint.put))
            first = found.apart(first)
        made = trials.pulled(made, parts.places, first, until)
        return self._learn(parts.counted(), made, found, started, checkpoint, tell)

    def _hub(self, slots: tuple[Slot, ...]) -> int:
        """The number of the column that others shall lean on."""
        names = [slot.column.name for slot in slots]
        if self.lean_on not in names:
            raise DataError(f"lean_on is {self.lean_on!r}, no column that is scored{did_you_mean(self.lean_on, names)}")
        return names.index(self.lean_on)

    def _learn(
        self, rows: Cut, made: circuit_fit.Recipe, found: Coupling | None, started: float, checkpoint: Any, tell: Any
    ) -> Self:
        """The fit to these rows, begun at this second: of the numbers of states tried, the best kept."""
        n, weight = len(rows.cells), rows.weight
        self.leaves_, self.rows_ = rows.names, float(n if weight is None else weight.sum())
        held, here = training.held_out(n, self.validation, made.seed)
        cells, some = rows.cells[here], None if weight is None else weight[here]
        best: circuit_fit.Fitted | None = None
        self.ended_ = ""
        tried = circuit_fit.sizes(len(cells), len(rows.places)) if self.units == "auto" else (int(self.units),)
        epochs = circuit_fit.passes(len(cells)) if self.epochs == "auto" else int(self.epochs)
        for units in tried:

            def begin(course: Course, units: int = units) -> tuple[Course, Any]:
                chosen = [units, made.tree, made.root, made.rank, made.hide, made.seed, *made.pull]
                store = Checkpoint(checkpoint, f"circuit.{units}", self, chosen, rows)
                return store.read(Course.unpacked) or course, lambda c: store.write(*c.packed())

            left = None if self.seconds is None else max(self.seconds - (monotonic() - started), 1e-3)
            try:
                fit = circuit_fit.fit(
                    made, rows.places, cells, some, units, epochs, held=rows.cells[held], batch=BATCH,
                    begin=None if checkpoint is None else begin, seconds=left, tell=tell,
                )  # fmt: skip
            except KeyboardInterrupt:  # before its first step
                if best is None:
                    raise
                self.ended_ = INTERRUPTED
                break
            self.ended_ = fit.course.ended
            if best is not None and not circuit_fit.better(fit, best, rows.cells[held]):
                break
            best = fit
            if self.ended_:
                break
        assert best is not None
        self.structure_, self.history_ = best.found, best.course.history
        self._held = places_file.contains(self, rows)
        best.model.widen()
        self.model_ = best.model if found is None else Coupled(best.model, found)
        return self

    @property
    def units_(self) -> int:
        """The states of each latent."""
        return self._circuit.states

    @property
    def leans_(self) -> dict[Any, Any]:
        """For each column that leans on another, the one it leans on."""
        if not isinstance(self.model_, Coupled):
            return {}
        coupling, names = self.model_.coupling, [slot.column.name for slot in self._joint.slots]
        return {names[d]: names[coupling.hub] for d in coupling.columns}

    @property
    def _circuit(self) -> Model:
        """The circuit itself, over what is left of columns that lean."""
        return self.model_.circuit if isinstance(self.model_, Coupled) else self.model_

    @property
    def _places(self) -> list[Places]:
        return [law.places for law in self._circuit.laws]

    # what it explains -------------------------------------------------------------------------------------------------
    def most_probable(self, X: Any) -> Any:
        """X with what is missing at its most probable values together, given what is known of the row.

        The most probable explanation argmax P(missing cells, latents | known cells), by messages of maxima; a number is
        the middle of the most probable of its column's places. (`impute` draws from the posterior instead.)
        """

        def complete(batch: Batch, present: Mapping[Any, Region]) -> Batch:
            asked = self._asked(present)
            wide = self._joint.put(batch)
            return self._joint.taken(
                stacked([self.model_.most_probable(piece, asked) for _, piece in pieces(wide, ROWS)])
            )

        check_is_fitted(self, "model_")
        return self._filled(self.border_.framed(X), complete, 1, generator(0))[0]

    def marginal(self, column: str | int, at: Any, given: Mapping[Any, Any] | None = None) -> np.ndarray:
        """P(column = a), or P(column = a | given), of each value a in `at` -> (m,): mass, or density in its own unit.

        given: a mapping, as of `sample`, which does not name the column. Exact: what a plot of a column's law shows, or
        of how it changes with others. A value outside the stated bounds has 0. EvidenceError where `given` has none.
        """
        check_is_fitted(self, "model_")
        return marginal_of(self, column, at, {} if given is None else given)

    # one file -----------------------------------------------------------------------------------------------------
    def _describe(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return file.describe(self)

    @classmethod
    def _layout(cls, header: Mapping[str, Any], columns: int) -> dict[str, TensorSlot]:
        return file.layout(header["model"], columns)

    def _restore(self, model: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        self.structure_, self.model_ = file.restored(model, tensors, self._joint.slots, self._joint.spec)
        places_file.set_course(self, model)
