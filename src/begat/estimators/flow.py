"""The estimator of normalizing flows: invertible maps of the ranks of a table's columns."""

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
from begat.errors import FileError
from begat.estimators import by_gradient, places_file
from begat.estimators.cutting import cut
from begat.estimators.over_places import OverPlaces
from begat.estimators.store import Slot as TensorSlot
from begat.families.flow import Flow as Model
from begat.leaves.places import Places
from begat.maths.bijections import BIJECTIONS
from begat.nets.couplings import Sizes, Steps, levels
from begat.random import Seed, generator, mixed, seed_of
from begat.schema import Schema

RATE, DECAY, PATIENCE = 2e-3, 0.2, 7
COUPLING, AUTOREGRESSIVE = "coupling", "autoregressive"


class Flow(OverPlaces):
    """A normalizing flow over any table: exact on continuous columns, a lower bound where columns have mass.

        p(x) = P(y) prod_d p0(x_d) prod_t |dT_t / du|,    u the ranks of the cells among their column's own law p0

    The flow is a density of the unit cube of ranks (leaves.ranks), so that it starts from independent columns and its
    likelihood is in the data's units, as everywhere. Cells that have mass are pieces of the cube, over which `samples`
    draws integrate: a lower bound. A category as y makes a classifier: classes are what all maps are told, and P(y | x)
    follows by Bayes' rule; a number as y is a column like others. The maps are told, too, what is known in advance:
    imputation and evidence are answered by `samples` such draws, weighted by the one joint.

    maps: "spline" (monotone rational-quadratic, of `bins` bins) or "affine" (of the normal score). structure:
    "coupling" (half of the columns move the other half, fast both ways) or "autoregressive" (each column moves by those
    before it, drawn one after another). transforms: how many. width, depth: of the network of each. hide: the share
    of rows of which a random part is taken for known. samples: draws behind a bound, a conditional or a completion.
    rate, decay: the step of AdamW and its decoupled decay. batch, epochs, validation, device, seconds: as of
    Autoregressive. leaves (kernel densities where they are asked for), task, missing, unseen, schema: as of NaiveBayes.
    random_state: of the first weights, the splits, the order of the rows and the noise: the same seed, the same fit, if
    no seconds end it.

    Fitted: history_ (held-out log-likelihood or its bound at each mark, nats per row over independent columns),
    leaves_, rows_, ended_ (why the fit ended before it was done, or "").

    Reference: Durkan, Bekasov, Murray and Papamakarios (2019), Neural spline flows; Papamakarios et al. (2021).
    """

    def __init__(
        self,
        *,
        maps: str = "spline",
        structure: str = COUPLING,
        transforms: int = 6,
        bins: int = 8,
        width: int = 128,
        depth: int = 1,
        hide: float = 0.25,
        samples: int = 16,
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
        self.maps = maps
        self.structure = structure
        self.transforms = transforms
        self.bins = bins
        self.width = width
        self.depth = depth
        self.hide = hide
        self.samples = samples
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
        count, rng = len(rows.places) - (self._label is not None), torch.Generator().manual_seed(mixed(seed, "weights"))
        self._levels = levels(count, self.transforms, autoregressive=self.structure == AUTOREGRESSIVE, rng=rng)
        size = BIJECTIONS[self.maps].size(self.bins)
        labels = 0 if self._label is None else rows.places[self._label].size
        self.model_ = self._model(rows.places, Sizes(count, labels, size, self.width, self.depth), rng)
        examples, rows = by_gradient.as_pieces(self.model_, map(self._joint.put, read.batches), rows)
        plan = by_gradient.plan_of(self, rows, rate=RATE, decay=DECAY, patience=PATIENCE)
        by_gradient.learn(
            self, rows, examples, plan, sizes=[self.maps, self._levels, *self._sizes], started=started,
            checkpoint=checkpoint, tell=tell,
        )  # fmt: skip
        return self

    def _model(self, places: list[Places], sizes: Sizes, rng: torch.Generator) -> Model:
        self._sizes = sizes
        net = Steps(self._levels, sizes, rng)
        how = {"hide": float(self.hide), "samples": self.samples}
        return Model(self._joint.spec, places, net, self._label, BIJECTIONS[self.maps], **how)  # type: ignore[arg-type]

    @property
    def likelihood(self) -> Likelihood:
        """What log_prob is: exact where every column but the class is continuous, else a lower bound; of rows of which
        something is unknown always that."""
        made = super().likelihood
        if self.model_.cube.exact and self.missing == "outcome":
            return made
        return Likelihood("<=", made.unit, made.measure, self.model_.samples, made.unscored, made.schema)

    # the base -----------------------------------------------------------------------------------------------------
    def encode(self, X: Any, y: Any = None) -> np.ndarray:
        """What the maps make of each row, as standard normal numbers -> (n, columns but the class): the noise that
        `decode` would make the row of, between -5.2 and 5.2, which is as far as a float32 tells ranks apart. Cells that
        have mass, and unknown ones, are at the middle of their piece; a
        class that is not given is taken for the most probable."""
        check_is_fitted(self, "model_")
        batch = self._encode(X, y).batch
        return self.model_.encode(self._joint.put(batch)).numpy()

    def decode(self, z: Any, y: Any = None, random_state: Seed = None) -> Any:
        """The row that the inverse maps make of each of these normal numbers (n, columns but the class), as a frame
        like X; of a class, or of one drawn for each. A row is a function of z where its columns are continuous, as far
        as a float32 tells ranks apart: 6e-8, which is much beyond 4 deviations."""
        check_is_fitted(self, "model_")
        latent = by_gradient.latent(z, len(self.model_.cube))
        rng = generator(random_state)
        batch, _ = self.border_.evidence(len(latent), y, {})
        drawn = self.model_.decode(self._joint.put(batch), torch.from_numpy(latent), generator=rng)
        return self.border_.decode(self._joint.taken(drawn), generator=rng)[0]

    # one file -----------------------------------------------------------------------------------------------------
    def _describe(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return by_gradient.described(self, levels=self._levels, size=list(self._sizes))

    @classmethod
    def _layout(cls, header: Mapping[str, Any], columns: int) -> dict[str, TensorSlot]:
        model = header["model"]
        _, _, slots = places_file.layout_all(model["columns"], columns)
        sizes = by_gradient.stated(Sizes, model["size"])
        shapes = Steps.layout(_levels(model["levels"], sizes), sizes)
        return slots | {f"net.{name}": TensorSlot(shape, torch.float32) for name, shape in shapes.items()}

    def _restore(self, model: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        places = places_file.restored_all(model["columns"], tensors, self._joint.slots)
        sizes = Sizes(*model["size"])
        self._levels = _levels(model["levels"], sizes)
        labels = 0 if self._label is None else places[self._label].size
        if (sizes.columns, sizes.labels) != (len(places) - (self._label is not None), labels):
            raise FileError("its network is of other columns than its schema; the file is damaged")
        if sizes.size != BIJECTIONS[self.maps].size(self.bins):
            raise FileError("its network gives no such maps; the file is damaged")
        self.model_ = self._model(places, sizes, torch.Generator().manual_seed(0))
        by_gradient.load(self.model_, tensors)
        places_file.set_course(self, model)


def _levels(said: Any, sizes: Sizes) -> list[list[int]]:
    """The levels that a file states. ValueError for what are none."""
    made = [[int(level) for level in each] for each in said]
    count = sizes.columns
    sound = all(
        len(each) == count and sorted(set(each) | {-1}) == list(range(-1, max(each) + 1)) and max(each) >= 0
        for each in made
    )
    if not sound or len(made) > by_gradient.MOST or (made and not count):
        raise ValueError("the levels of its columns are none")
    return made
