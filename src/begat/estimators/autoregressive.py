"""The estimator of autoregression: one network of conditionals over the columns of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from time import monotonic
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from begat.codecs import frame
from begat.codecs.levels import Missing, Unseen
from begat.codecs.source import TableSource
from begat.core import Batch, Likelihood
from begat.errors import DataError, did_you_mean
from begat.estimators import parameters, places_file, target, training
from begat.estimators.checkpoint import Checkpoint, prepared
from begat.estimators.cutting import Cut, cut
from begat.estimators.device import chosen
from begat.estimators.over_places import OverPlaces
from begat.estimators.store import Slot as TensorSlot
from begat.families.autoregressive import Autoregressive as Model
from begat.fitting.loop import Plan, Run, held_out_score, train
from begat.fitting.together import joined
from begat.leaves.places import Places
from begat.nets.conditionals import Conditionals, Scale
from begat.random import Seed, generator, mixed
from begat.schema import Schema

FIXED, ANY = "fixed", "any"
WIDTHS, LANES = (16, 96), 8
"""The width of a column's blocks at least and at most, where nothing is said, and what it is a multiple of."""
WORK = 2_500_000
"""Weights of the first layer at most, about, where nothing is said: D columns have D^2 times embedding times width."""
EMBED, RANK = (16, 8), 48
"""Numbers of an embedding, of up to WIDE columns and of more; waves that a conditional of numbers is made of."""
WIDE = 48
BATCHES = (64, 512)
"""Rows of a batch: about the root of three times the rows, within these."""
RATES, DECAYS = {False: 3e-3, True: 6e-3}, {False: 0.5, True: 0.02}
"""The rate and the decay where nothing is said, in a fixed order and in any: a network that learns so many conditionals
has none of its weights to spare for single rows."""
PASSES, MARKS = 100, (20, 100)
"""Passes over the rows at most, where nothing is said, and steps from mark to mark: a pass, within these."""
PATIENCE = 4


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

    width, depth: of each column's residual blocks; the width is "auto" from 16 to 96, less of more columns. rate,
    decay: the step of AdamW and its decoupled decay ("auto": .003 and .5, in any order .006 and .02), which keeps rows
    from being remembered. batch: rows a step, "auto" about sqrt(3 n), 64 to 512. epochs: passes over the rows at most,
    "auto" 100: the fit ends when the mean of the weights over the last ninth of its steps has been no better on
    held-out rows for 4 marks (passes, or 100 steps), and keeps the best. validation: share of the rows held out for
    that; of few rows up to a tenth if it is not 0. device: "auto" (a GPU where there is one) or torch's name of one.
    seconds: the fit ends after them with its best weights so far. leaves, task, missing, unseen, schema: as of
    NaiveBayes. random_state: of the first weights and the order of the rows: the same seed, the same fit, if no
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
        parameters.check(self)
        if checkpoint is not None:
            prepared(checkpoint)
            if self.random_state is None:
                raise DataError("random_state is None, and a checkpoint is of one fit; give random_state a number")
        started = monotonic()
        for name in [n for n in vars(self) if n.endswith("_") and not n.startswith("_")]:
            delattr(self, name)
        if isinstance(X, TableSource):
            rows = training.of_source(self, X, y, sample_weight)
        else:
            X = frame.as_frame(X)
            goal = target.split(X, y, self.task, parameters.schema(self))
            rows = training.of_table(self, X, goal, sample_weight)
        self._set_out(rows.border)
        order = self._order([slot.column.name for slot in self._joint.slots])
        parts = cut(self.leaves, self._joint.slots, rows, self._joint.put)
        if parts.weight is not None:
            counts = parts.weight > 0
            parts = parts._replace(cells=parts.cells[counts], weight=parts.weight[counts])
            if not len(parts.cells):
                raise DataError("all sample weights are zero; give at least one row a positive weight")
        return self._learn(parts, order, started, checkpoint, tell)

    def _order(self, names: list[Any]) -> list[int]:
        """The numbers of the columns in their order."""
        goal = self._joint.target
        if isinstance(self.order, str):
            rest = [d for d in range(len(names)) if d != goal]
            if goal is None:
                return rest
            last = self.role_ == "regression" or self.order == ANY
            return [*rest, goal] if last else [goal, *rest]
        for name in self.order:
            if name not in names:
                raise DataError(f"order names {name!r}, no column that is scored{did_you_mean(name, names)}")
        if len(self.order) != len(names) or len(set(self.order)) != len(names):
            left = [n for n in names if n not in list(self.order)]
            more = f": {left[0]!r} is missing" if left else ": one stands in it twice"
            raise DataError(f"order has {len(self.order)} columns, and {len(names)} are scored{more}")
        return [names.index(name) for name in self.order]

    def _learn(self, rows: Cut, order: list[int], started: float, checkpoint: Any, tell: Any) -> Self:
        n, weight, seed = len(rows.cells), rows.weight, generator(self.random_state).initial_seed()
        self.leaves_, self.rows_ = rows.names, float(n if weight is None else weight.sum())
        held, here = training.held_out(n, self.validation, seed)
        free = isinstance(self.order, str) and self.order == ANY
        size = Size.of(len(here.nonzero()), len(rows.places), self)
        rng = torch.Generator().manual_seed(mixed(seed, "weights"))
        net = network(rows.places, order, free, size, rng)
        self.model_ = Model(self._joint.spec, rows.places, net, order, any_order=free)
        share = None if weight is None else (weight[here] / weight[here].mean()).float()
        feed = Batch((rows.cells[here].long(),), (None,), None, share)
        one = -(-len(feed) // size.batch)
        plan = Plan(
            steps=one * (PASSES if self.epochs == "auto" else int(self.epochs)), batch=size.batch,
            rate=RATES[free] if self.rate == "auto" else float(self.rate), warm=0.0, cool=0.0,
            decay=DECAYS[free] if self.decay == "auto" else float(self.decay), average=1.0,
            every=min(max(one, MARKS[0]), MARKS[1]),
            patience=PATIENCE if len(held) and self.epochs == "auto" else None, seed=seed,
        )  # fmt: skip
        device = chosen(self.device)
        run, keep, score, floor = Run(), None, None, 0.0
        if checkpoint is not None:
            store = Checkpoint(checkpoint, "autoregressive", self, [seed, order, *size, *net.sizes], rows)
            run = store.read(Run.unpacked) or run

            def keep(r: Run) -> None:
                store.write(*r.packed())

        if len(held):
            seen = Batch((rows.cells[held].long(),), (None,)).to(device)
            score = held_out_score(self.model_, seen, seed)
            floor = float(sum(_base(p, c).mean() for p, c in zip(rows.places, rows.cells[held].T, strict=True)))

        def told(step: int, steps: int, line: dict[str, float]) -> None:
            gain = line["held"] - floor if "held" in line else None
            tell(-(-step // plan.every), -(-steps // plan.every), gain)

        left = None if self.seconds is None else max(self.seconds - (monotonic() - started), 1e-3)
        self.model_.to(device)
        with joined() as world:
            run = train(
                self.model_, feed, plan, run, score=score, world=world, device=device, seconds=left, keep=keep,
                tell=None if tell is None else told,
            )  # fmt: skip
        self.model_.requires_grad_(False)
        self.history_ = [line["held"] - floor for line in run.history if "held" in line]
        self.ended_, self._size = run.ended, size
        self._held = places_file.contains(self, rows)
        return self

    @property
    def order_(self) -> list[Any]:
        """The columns in their order."""
        return [self._joint.slots[d].column.name for d in self.model_.order]

    @property
    def _places(self) -> list[Places]:
        return list(self.model_.places)

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
        columns, model = [], self.model_
        tensors = {name: value for name, value in model.state_dict().items() if name.startswith("net.")}
        for d, places in enumerate(model.places):
            said, own = places_file.describe(d, places)
            columns.append(said)
            tensors |= own
        header = {
            "columns": columns, "order": list(model.order), "any_order": model.any_order, "size": list(self._size),
            "leaves": [[name, leaf] for name, leaf in self.leaves_.items()], "rows": self.rows_,
            "history": self.history_, "ended": self.ended_,
        }  # fmt: skip
        return header, tensors

    @classmethod
    def _layout(cls, header: Mapping[str, Any], columns: int) -> dict[str, TensorSlot]:
        model, sizes, intervals = header["model"], [], []
        slots: dict[str, TensorSlot] = {}
        if len(model["columns"]) > columns:
            raise ValueError(f"{len(model['columns'])} columns do not fit")
        for d, said in enumerate(model["columns"]):
            size, own = places_file.layout(d, said)
            slots |= own
            sizes.append(size)
            intervals.append(said["cuts"] + 1 if said["values"] else 0)
        net = Size(*model["size"])
        if any(type(part) is not int or not 0 <= part <= MOST for part in net):
            raise ValueError(f"the sizes of its network are {net}")
        shapes = Conditionals.layout(sizes, intervals, net.width, net.embed, net.rank, net.depth)
        return slots | {f"net.{name}": TensorSlot(shape, torch.float32) for name, shape in shapes.items()}

    def _restore(self, model: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        slots, order = self._joint.slots, model["order"]
        if len(model["columns"]) != len(slots) or sorted(order) != list(range(len(slots))):
            raise DataError("its columns are not those of its schema; the file is damaged")
        places = [
            places_file.restored(d, said, tensors, slot)
            for d, (said, slot) in enumerate(zip(model["columns"], slots, strict=True))
        ]
        self._size = Size(*model["size"])
        net = network(places, order, bool(model["any_order"]), self._size, torch.Generator().manual_seed(0))
        net.load_state_dict({n.removeprefix("net."): t.clone() for n, t in tensors.items() if n.startswith("net.")})
        self.model_ = Model(self._joint.spec, places, net, order, any_order=bool(model["any_order"]))
        self.model_.eval().requires_grad_(False)
        self.leaves_, self.rows_ = dict(map(tuple, model["leaves"])), places_file.rows(model)
        self.history_, self.ended_ = places_file.history(model)


MOST = 2**16
"""The largest size of a network that a file may state."""


class Size(NamedTuple):
    """The sizes of a network of conditionals and of the batches that it was fitted with."""

    width: int
    embed: int
    rank: int
    depth: int
    batch: int

    @classmethod
    def of(cls, n: int, columns: int, said: Autoregressive) -> Size:
        """As the estimator says, and where it says nothing, for n rows of so many columns."""
        embed = EMBED[columns > WIDE]
        least, most = WIDTHS
        wish = WORK / (columns**2 * embed)
        width = min(max(round(wish / LANES) * LANES, least), most) if said.width == "auto" else int(said.width)
        batch = round(min(max((3 * n) ** 0.5, BATCHES[0]), BATCHES[1])) if said.batch == "auto" else int(said.batch)
        return cls(width, embed, RANK, said.depth, batch)


def network(
    places: Sequence[Places], order: Sequence[int], any_order: bool, size: Size, rng: torch.Generator
) -> Conditionals:
    """The network of the conditionals of these columns in this order."""
    at = torch.empty(len(order), dtype=torch.long)
    at[torch.tensor(order)] = torch.arange(len(order))
    sees = ~torch.eye(len(order), dtype=torch.bool) if any_order else at[:, None] < at
    scales = [Scale(p.log_base, p.intervals) for p in places]
    return Conditionals(scales, sees, width=size.width, embed=size.embed, rank=size.rank, depth=size.depth, rng=rng)


def _base(places: Places, cells: Tensor) -> Tensor:
    """log p0 of places that are known, 0 of others -> (n,)."""
    known = cells < places.size
    return torch.where(known, places.log_base[cells.long().clamp(max=places.size - 1)], 0.0)
