"""The estimator of diffusion: noise is taken out of the normal scores of a table's columns."""

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
from begat.core import Likelihood
from begat.errors import DataError, FileError
from begat.estimators import by_gradient, places_file
from begat.estimators.cutting import cut
from begat.estimators.over_places import OverPlaces
from begat.estimators.store import Slot as TensorSlot
from begat.families.diffusion import BLOCKS
from begat.families.diffusion import Diffusion as Model
from begat.leaves.cube import Cube
from begat.leaves.places import Places
from begat.maths.ode import SOLVERS
from begat.maths.path import Way
from begat.nets.denoiser import Denoiser, Sizes
from begat.random import Seed, mixed, seed_of
from begat.schema import Schema

RATE, DECAY, PATIENCE, BATCH, PASSES = 2e-3, 0.1, 12, 512, 250


class Diffusion(OverPlaces):
    """Diffusion over any table: noise is taken out of rows step by step; a lower bound of the likelihood.

        y_r = z + r noise,    dy / dr = (y - E[z | y_r]) / r,    z the normal scores of the ranks of the cells

    The network learns E[z | y_r] at every ratio r of noise to data. Scores follow each column's own law (leaves.ranks,
    leaves.cube); levels are intervals of a score. What a noisy score says of its own column, level or number, is known
    in closed form, and the network says only what the rest of the row adds to it: a fit begins with independent
    columns, and bounds are in the data's units, as everywhere. A category as y makes a classifier, by Bayes' rule from
    normalised bounds; a number as y is a column like others. What is known of a row is told to the network, which
    completes it; what has a region is drawn until it lies there.

    path: "preserving", "exploding" or "straight"; target: "v", "velocity", "data" or "noise" (maths.path). solver:
    "dpm", "heun", "euler" or "ancestral", of `steps` steps (maths.ode). guidance: how much a class that is asked for is
    exaggerated; 1 is the law that was learnt. samples: noise levels behind each bound. width, depth: of the network, in
    residual blocks. hide: the share of rows of which a random part is taken for known. rate, decay: the step of AdamW
    and its decoupled decay. batch: "auto" 512. epochs, validation,
    device, seconds: as of Autoregressive. leaves (kernel densities
    where they are asked for), task, missing, unseen, schema: as of NaiveBayes. random_state: of the first weights, the
    order of the rows and the noise: the same seed, the same fit, if no seconds end it.

    Fitted: history_ (held-out lower bound at each mark, nats per row over independent columns), leaves_, rows_,
    ended_ (why the fit ended before it was done, or "").

    Reference: Ho, Jain and Abbeel (2020); Song et al. (2021); Karras et al. (2022); Kingma et al. (2021).
    """

    def __init__(
        self,
        *,
        path: str = "preserving",
        target: str = "v",
        solver: str = "dpm",
        steps: int = 20,
        guidance: float = 1.0,
        samples: int = 32,
        width: int = 192,
        depth: int = 3,
        hide: float = 0.25,
        rate: float | str = "auto",
        decay: float | str = "auto",
        batch: int | str = "auto",
        epochs: int | str = "auto",
        validation: float = 0.05,
        device: str = "auto",
        seconds: float | None = None,
        leaves: str | tuple[str, Mapping[str, Any]] | Mapping[Any, Any] = "auto",
        task: str = "auto",
        missing: Missing = "outcome",
        unseen: Unseen = "error",
        schema: Schema | None = None,
        random_state: Seed = 0,
    ):
        self.path = path
        self.target = target
        self.solver = solver
        self.steps = steps
        self.guidance = guidance
        self.samples = samples
        self.width = width
        self.depth = depth
        self.hide = hide
        self.rate = rate
        self.decay = decay
        self.batch = batch
        self.epochs = epochs
        self.validation = validation
        self.device = device
        self.seconds = seconds
        self.leaves = leaves
        self.task = task
        self.missing = missing
        self.unseen = unseen
        self.schema = schema
        self.random_state = random_state

    model_: Model

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
        """Learn the joint of X and y; arguments as of Autoregressive.fit."""
        started = monotonic()
        read = self._begin(X, y, sample_weight, checkpoint)
        rows = cut(self.leaves, self._joint.slots, read, self._joint.put, kernels=False)
        seed = seed_of(self.random_state)
        count, labels = len(rows.places) - (self._label is not None), 0
        if self._label is not None:
            labels = rows.places[self._label].size
        blocks = Cube(rows.places, self._label).blocks(BLOCKS)[0].shape[1]
        sizes = Sizes(count, blocks, labels, self.width, self.depth)
        self.model_ = self._model(rows.places, sizes, torch.Generator().manual_seed(mixed(seed, "weights")))
        examples, rows = by_gradient.as_pieces(self.model_, map(self._joint.put, read.batches), rows)
        plan = by_gradient.plan_of(
            self, rows, rate=RATE, decay=DECAY, patience=PATIENCE, batch=min(BATCH, len(rows.cells)), passes=PASSES
        )
        by_gradient.learn(
            self, rows, examples, plan, sizes=[self.path, self.target, *sizes], started=started, checkpoint=checkpoint,
            tell=tell,
        )  # fmt: skip
        return self

    def _model(self, places: list[Places], sizes: Sizes, rng: torch.Generator) -> Model:
        self._sizes = sizes
        return Model(
            self._joint.spec, places, Denoiser(sizes, rng), self._label, Way.of(self.path, self.target),
            SOLVERS[self.solver], steps=self.steps, hide=float(self.hide), samples=self.samples,
            guidance=float(self.guidance),
        )  # fmt: skip

    @property
    def likelihood(self) -> Likelihood:
        """What log_prob is: a lower bound from so many noise levels a row; of rows of which something is unknown the
        difference of two, an estimate."""
        made = super().likelihood
        return Likelihood(
            "<=" if self.missing == "outcome" else "~",
            made.unit,
            made.measure,
            self.model_.samples,
            made.unscored,
            made.schema,
        )

    def log_ode(self, X: Any, y: Any = None, steps: int = 40, probes: int | None = None) -> np.ndarray:
        """log P(x, y) of complete rows by the ODE that draws follow -> (n,), nats: an estimate, of one draw within the
        pieces of cells that have mass.

        probes: random signs that the divergence is estimated by; None for its exact trace, as many derivatives as
        columns. Song et al. (2021), equation 39. DataError for rows of which something is unknown.
        """
        check_is_fitted(self, "model_")
        for name, said in (("steps", steps), ("probes", probes)):
            if said is not None and (isinstance(said, bool) or not isinstance(said, int | np.integer) or said < 1):
                raise DataError(f"{name} is {said!r}; give a whole number, at least 1")
        batch = self._joint.put(self._encode(X, y).batch)
        found = self.model_.found(batch)
        if not bool(found.known.all()) or (self._label is not None and bool((found.label < 0).any())):
            raise DataError("log_ode is of complete rows, with their classes; impute what is missing first")
        return self.model_.log_ode(batch, steps, probes).numpy()

    # one file -----------------------------------------------------------------------------------------------------
    def _describe(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return by_gradient.described(self, size=list(self._sizes))

    @classmethod
    def _layout(cls, header: Mapping[str, Any], columns: int) -> dict[str, TensorSlot]:
        model = header["model"]
        _, _, slots = places_file.layout_all(model["columns"], columns)
        shapes = Denoiser.layout(by_gradient.stated(Sizes, model["size"]))
        return slots | {f"net.{name}": TensorSlot(shape, torch.float32) for name, shape in shapes.items()}

    def _restore(self, model: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        places = places_file.restored_all(model["columns"], tensors, self._joint.slots)
        sizes = Sizes(*model["size"])
        labels = 0 if self._label is None else places[self._label].size
        blocks = Cube(places, self._label).blocks(BLOCKS)[0].shape[1]
        if (sizes.columns, sizes.blocks, sizes.labels) != (len(places) - (self._label is not None), blocks, labels):
            raise FileError("its network is of other columns than its schema; the file is damaged")
        self.model_ = self._model(places, sizes, torch.Generator().manual_seed(0))
        by_gradient.load(self.model_, tensors)
        places_file.set_course(self, model)
