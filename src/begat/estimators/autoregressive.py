"""The estimator of autoregression: one network of conditionals over the columns of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from time import monotonic
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from begat.codecs.levels import Missing, Unseen
from begat.core import Likelihood
from begat.errors import DataError, FileError, did_you_mean
from begat.estimators import by_gradient, places_file
from begat.estimators.over_places import OverPlaces
from begat.estimators.store import Slot as TensorSlot
from begat.families.autoregressive import Autoregressive as Model
from begat.leaves.places import Places
from begat.nets.conditionals import Conditionals
from begat.random import Seed, mixed, seed_of
from begat.schema import Schema

FIXED, ANY = "fixed", "any"
LEAST_WIDTH, WIDTHS, LANES = 16, {False: 96, True: 64}, 8
"""The width of a column's blocks at least, and at most in a fixed order and in any, where nothing is said, and what it
is a multiple of."""
WORK = 2_500_000
"""Weights of the first layer at most, about, where nothing is said: D columns have D^2 times embedding times width."""
EMBED, RANK = (16, 8), 48
"""Numbers of an embedding, of up to WIDE columns and of more; waves that a conditional of numbers is made of."""
WIDE = 48
RATES, DECAYS = {False: 3e-3, True: 6e-3}, {False: 0.5, True: 0.02}
"""The rate and the decay where nothing is said, in a fixed order and in any: a network that learns so many conditionals
has none of its weights to spare for single rows."""
PATIENCE = 5


class Autoregressive(OverPlaces):
    """Autoregression over the columns of any table, learnt by gradients; exact in its order.

        P(x) = prod_d P(x_d | x_e, e before d in the order)

    Each conditional tilts the column's own law on its places (leaves.places), so that grids and levels have mass, and
    numbers density, as everywhere; a network gives them all at once (nets.conditionals). A category as y makes a
    classifier, a number a regression; either is a column of the one joint.

    order: "fixed": a class first and a numeric target last, the other columns as they stand; or the names of all
    columns in an order; or "any": the network learns each column given any others, whose answers to evidence need no
    draws, at some cost in likelihood. In a fixed order, P(y | x) is exact, as is a draw given columns that come first;
    other evidence, and rows of which something is unknown, are answered by weighted draws (64 particles a row). In any
    order P(y | x) is the conditional that was learnt, log_prob the product along the columns as they stand.

    width, depth: of each column's residual blocks; the width is "auto" from 16 to 96 (any order: 64), less of more
    columns. rate, decay: the step of AdamW and its decoupled decay ("auto": .003 and .5, in any order .006 and .02),
    which keeps rows from being remembered. batch: rows a step, "auto" about sqrt(3 n), 64 to 512. epochs: passes over
    the rows at most, "auto" 100: the fit ends when the mean of the weights over the last ninth of its steps has been
    no better on held-out rows for 5 marks (passes, or 100 steps), and keeps the best. validation: share of the rows
    held out for that; of few rows up to a tenth if it is not 0. device: "auto" (a GPU where there is one) or torch's
    name of one. seconds: the fit ends after them with its best weights so far. leaves, task, missing, unseen, schema:
    as of NaiveBayes. random_state: of the first weights and the order of the rows: the same seed, the same fit, if no
    seconds end it.

    Fitted: order_ (the columns in their order), history_ (held-out log-likelihood at each mark, nats per row over
    independent columns), leaves_, rows_, ended_ (why the fit ended before it was done, or "").

    Reference: Germain et al. (2015), MADE; Uria, Murray and Larochelle (2014), for any order.
    """

    def __init__(
        self,
        *,
        order: str | Sequence[Any] = FIXED,
        width: int | str = "auto",
        depth: int = 2,
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
        self.order = order
        self.width = width
        self.depth = depth
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
        """Learn the joint of X and y. X: a frame, an array, or a Source larger than memory (y is then a column's name).

        sample_weight: (n,) numbers of repetitions. checkpoint: a folder in which the fit leaves its state at each mark;
        the same fit goes on from there, bit for bit on a processor. Rows held out count once each. tell: called at each
        mark with its number, the number of marks and the held-out score. Interrupted, a fit keeps its best state.
        """
        started = monotonic()
        rows = self._counted(X, y, sample_weight, checkpoint)
        order, seed = self._order([slot.column.name for slot in self._joint.slots]), seed_of(self.random_state)
        free = self._free
        self._size = Size.of(len(rows.places), self)
        rng = torch.Generator().manual_seed(mixed(seed, "weights"))
        net = network(rows.places, order, free, self._size, rng)
        self.model_ = Model(self._joint.spec, rows.places, net, order, any_order=free)
        examples, floor = by_gradient.as_cells(rows)
        plan = by_gradient.plan_of(self, rows, rate=RATES[free], decay=DECAYS[free], patience=PATIENCE)
        by_gradient.learn(
            self, rows, examples, plan, floor=floor, sizes=[order, *self._size, *net.sizes], started=started,
            checkpoint=checkpoint, tell=tell,
        )  # fmt: skip
        return self

    @property
    def _free(self) -> bool:
        """Whether any order is to be learnt."""
        return isinstance(self.order, str) and self.order == ANY

    def _order(self, names: list[Any]) -> list[int]:
        """The numbers of the columns in their order."""
        goal = self._joint.target
        if isinstance(self.order, str):
            rest = [d for d in range(len(names)) if d != goal]
            if goal is None:
                return rest
            last = self.role_ == "regression" or self._free
            return [*rest, goal] if last else [goal, *rest]
        for name in self.order:
            if name not in names:
                raise DataError(f"order names {name!r}, no column that is scored{did_you_mean(name, names)}")
        if len(self.order) != len(names) or len(set(self.order)) != len(names):
            left = [n for n in names if n not in list(self.order)]
            more = f": {left[0]!r} is missing" if left else ": one stands in it twice"
            raise DataError(f"order has {len(self.order)} columns, and {len(names)} are scored{more}")
        return [names.index(name) for name in self.order]

    @property
    def order_(self) -> list[Any]:
        """The columns in their order."""
        return [self._joint.slots[d].column.name for d in self.model_.order]

    @property
    def likelihood(self) -> Likelihood:
        """What log_prob is: exact of complete rows, in the stated order; rows with unknown cells are estimated."""
        made = super().likelihood
        if not self.model_.any_order:
            return made
        return Likelihood(
            made.relation, made.unit, f"{made.measure}, in the order {', '.join(map(str, self.order_))}", made.samples,
            made.unscored, made.schema,
        )  # fmt: skip

    # one file -----------------------------------------------------------------------------------------------------
    def _describe(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        model = self.model_
        return by_gradient.described(self, order=list(model.order), any_order=model.any_order, size=list(self._size))

    @classmethod
    def _layout(cls, header: Mapping[str, Any], columns: int) -> dict[str, TensorSlot]:
        model = header["model"]
        sizes, intervals, slots = places_file.layout_all(model["columns"], columns)
        net = by_gradient.stated(Size, model["size"])
        shapes = Conditionals.layout(sizes, intervals, net.width, net.embed, net.rank, net.depth)
        return slots | {f"net.{name}": TensorSlot(shape, torch.float32) for name, shape in shapes.items()}

    def _restore(self, model: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        slots, order = self._joint.slots, model["order"]
        places = places_file.restored_all(model["columns"], tensors, slots)
        if sorted(order) != list(range(len(slots))) or type(model["any_order"]) is not bool:
            raise FileError("its order is not one of its columns; the file is damaged")
        self._size = Size(*model["size"])
        net = network(places, order, model["any_order"], self._size, torch.Generator().manual_seed(0))
        self.model_ = Model(self._joint.spec, places, net, order, any_order=model["any_order"])
        by_gradient.load(self.model_, tensors)
        places_file.set_course(self, model)


class Size(NamedTuple):
    """The sizes of a network of conditionals."""

    width: int
    embed: int
    rank: int
    depth: int

    @classmethod
    def of(cls, columns: int, said: Autoregressive) -> Size:
        """As the estimator says, and where it says nothing, for so many columns."""
        embed, least, most = EMBED[columns > WIDE], LEAST_WIDTH, WIDTHS[said._free]
        wish = round(WORK / (columns**2 * embed) / LANES) * LANES
        width = min(max(wish, least), most) if said.width == "auto" else int(said.width)
        return cls(width, embed, RANK, said.depth)


def network(
    places: Sequence[Places], order: Sequence[int], any_order: bool, size: Size, rng: torch.Generator
) -> Conditionals:
    """The network of the conditionals of these columns in this order."""
    at = torch.empty(len(order), dtype=torch.long)
    at[torch.tensor(order)] = torch.arange(len(order))
    sees = ~torch.eye(len(order), dtype=torch.bool) if any_order else at[:, None] < at
    scales = by_gradient.scales(list(places))
    return Conditionals(scales, sees, width=size.width, embed=size.embed, rank=size.rank, depth=size.depth, rng=rng)
