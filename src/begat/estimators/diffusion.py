"""The estimator of diffusion: noise is taken out of the normal scores of a table's columns, or of pictures."""

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
from begat.core import Batch, Likelihood
from begat.errors import DataError, FileError
from begat.estimators import by_gradient, over_pixels, places_file
from begat.estimators.cutting import Cut, cut
from begat.estimators.device import chosen, halves
from begat.estimators.over_places import OverPlaces
from begat.estimators.store import Slot as TensorSlot
from begat.estimators.training import Training
from begat.families.diffusion import BLOCKS
from begat.families.diffusion import Diffusion as Model
from begat.families.pixel_diffusion import PixelDiffusion
from begat.fitting.plan import Plan
from begat.leaves.cube import Cube
from begat.leaves.pixels import Pixels, Scale
from begat.leaves.places import Places
from begat.maths.ode import SOLVERS, Solver
from begat.maths.path import Way
from begat.nets.denoiser import Denoiser, Sizes
from begat.nets.transformer import Sizes as PatchSizes
from begat.nets.transformer import Transformer
from begat.nets.unet import Sizes as UNetSizes
from begat.nets.unet import UNet
from begat.random import Seed, mixed, seed_of
from begat.schema import Schema

RATE, DECAY, PATIENCE, BATCH, PASSES = 2e-3, 0.1, 12, 512, 250
WIDTH, DEPTH = 192, 3
"""Of the network of a table."""
PICTURES_DECAY, PICTURES_BATCH, PICTURES_PASSES = 0.05, 128, 200
NETWORKS: Mapping[str, tuple[Any, Any, int, int]] = {
    "unet": (UNetSizes, UNet, 32, 2),
    "transformer": (PatchSizes, Transformer, 128, 4),
}
"""Of pictures: its sizes, the network, its width and its depth where nothing is said."""


class Diffusion(OverPlaces):
    """Diffusion over tables and pictures: noise is taken out step by step; a lower bound of the likelihood.

        y_r = z + r noise,    dy / dr = (y - E[z | y_r]) / r,    z the normal scores of the ranks of the cells

    The network learns E[z | y_r] at every ratio r of noise to data. Scores follow each column's own law (leaves.ranks,
    leaves.cube); levels are intervals of a score. What a noisy score says of its own column, level or number, is known
    in closed form, and the network says only what the rest of the row adds to it: a fit begins with independent
    columns, and bounds are in the data's units, as everywhere. A category as y makes a classifier, by Bayes' rule from
    normalised bounds; a number as y is a column like others. What is known of a row is told to the network, which
    completes it; what has a region is drawn until it lies there.

    Of pictures z are the pixels themselves, scaled, and the network is a U-Net, whose denoiser knows that pixels are
    levels (families.pixel_diffusion); they are completed from any known pixels, but not from ranges of them.

    path: "preserving", "exploding" or "straight"; target: "v", "velocity", "data" or "noise" (maths.path). solver:
    "dpm", "heun", "euler" or "ancestral", of `steps` steps (maths.ode). guidance: how much a class that is asked for is
    exaggerated; 1 is the law that was learnt. samples: noise levels behind each bound. network: of pictures, "unet"
    or "transformer" (over patches, eight along a side). width, depth: of the network; "auto" 192 and 3 residual blocks,
    of a U-Net 32 channels and 2 blocks at each of the resolutions, of a transformer 128 and 4. hide: the share
    of rows of which a random part is taken for known. rate, decay: the step of AdamW and its decoupled decay. batch:
    "auto" 512, of pictures 128. precision: of products of a U-Net, "auto" bfloat16 where the processor has them.
    epochs, validation, device, seconds: as of Autoregressive. leaves (kernel densities where they are asked for), task,
    missing, unseen, schema: as of NaiveBayes. random_state: of the first weights, the order of the rows and the noise:
    the same seed, the same fit, if no seconds end it.

    Fitted: history_ (held-out lower bound at each mark, nats per row, of tables over independent columns), leaves_,
    rows_, ended_ (why the fit ended before it was done, or "").

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
        network: str = "unet",
        width: int | str = "auto",
        depth: int | str = "auto",
        hide: float = 0.25,
        rate: float | str = "auto",
        decay: float | str = "auto",
        batch: int | str = "auto",
        epochs: int | str = "auto",
        validation: float = 0.05,
        device: str = "auto",
        precision: str = "auto",
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
        self.network = network
        self.width = width
        self.depth = depth
        self.hide = hide
        self.rate = rate
        self.decay = decay
        self.batch = batch
        self.epochs = epochs
        self.validation = validation
        self.device = device
        self.precision = precision
        self.seconds = seconds
        self.leaves = leaves
        self.task = task
        self.missing = missing
        self.unseen = unseen
        self.schema = schema
        self.random_state = random_state

    model_: Any  # families.diffusion.Diffusion, or PixelDiffusion of pictures
    _sizes: Any

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
        started, seed = monotonic(), seed_of(self.random_state)
        read = self._begin(X, y, sample_weight, checkpoint)
        prepare = self._of_rows if self.schema_.picture is None else self._of_pictures
        rows, examples, plan = prepare(read, torch.Generator().manual_seed(mixed(seed, "weights")))
        by_gradient.learn(
            self, rows, examples, plan, sizes=[self.path, self.target, *self._sizes], started=started,
            checkpoint=checkpoint, tell=tell,
        )  # fmt: skip
        return self

    def _of_rows(self, read: Training, rng: torch.Generator) -> tuple[Cut, Batch, Plan]:
        """The fit to rows of a table; sets the model."""
        rows = cut(self.leaves, self._joint.slots, read, self._joint.put, kernels=False)
        count, labels = len(rows.places) - (self._label is not None), 0
        if self._label is not None:
            labels = rows.places[self._label].size
        blocks = Cube(rows.places, self._label).blocks(BLOCKS)[0].shape[1]
        width, depth = _sized(self, WIDTH, DEPTH)
        self._sizes = Sizes(count, blocks, labels, width, depth)
        self.model_ = self._model(rows.places, Denoiser(self._sizes, rng))
        examples, rows = by_gradient.as_pieces(self.model_, map(self._joint.put, read.batches), rows)
        plan = by_gradient.plan_of(
            self, rows, rate=RATE, decay=DECAY, patience=PATIENCE, batch=min(BATCH, len(rows.cells)), passes=PASSES
        )
        return rows, examples, plan

    def _of_pictures(self, read: Training, rng: torch.Generator) -> tuple[Cut, Batch, Plan]:
        """The fit to pictures; sets the model."""
        found, sides = over_pixels.pixels(read, self._joint, self.schema_), over_pixels.whole(self.schema_)
        labels = 0 if found.log_prior is None else len(found.log_prior)
        kind, _, wide, deep = NETWORKS[self.network]
        width, depth = _sized(self, wide, deep)
        shown = (*sides[:2], 3 * sides[2], 2 * sides[2], labels, width)
        more = (over_pixels.halvings(sides),) if kind is UNetSizes else ()
        self._sizes = kind(*shown, *more, max(depth, 1))
        self.model_ = self._picture_model(found.scale, found.log_prior, rng)
        plan = by_gradient.plan_of(
            self, found.rows, rate=RATE, decay=PICTURES_DECAY, patience=PATIENCE,
            batch=min(PICTURES_BATCH, len(found.rows.cells)), passes=PICTURES_PASSES,
        )  # fmt: skip
        return found.rows, found.examples, plan

    def _model(self, places: list[Places], net: Denoiser) -> Model:
        return Model(self._joint.spec, places, net, self._label, *self._way(), **self._how())

    def _picture_model(self, scale: Scale, log_prior: Tensor | None, rng: torch.Generator) -> PixelDiffusion:
        net = NETWORKS[self.network][1](self._sizes, rng, half=halves(self.precision, chosen(self.device)))
        assert self.schema_.picture is not None
        pixels = Pixels(self.schema_.picture, scale)
        return PixelDiffusion(self._joint.spec, pixels, log_prior, net, *self._way(), **self._how())

    def _way(self) -> tuple[Way, Solver]:
        return Way.of(self.path, self.target), SOLVERS[self.solver]

    def _how(self) -> dict[str, Any]:
        return {
            "steps": self.steps, "hide": float(self.hide), "samples": self.samples, "guidance": float(self.guidance)
        }  # fmt: skip

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
        if any(known is not None and not bool(known.all()) for known in batch.known):
            raise DataError("log_ode is of complete rows, with their classes; impute what is missing first")
        return self.model_.log_ode(batch, steps, probes).numpy()

    def _known(self, batch: Batch) -> list[np.ndarray]:
        return super()._known(batch) if self.schema_.picture is None else over_pixels.known(batch)

    # one file -----------------------------------------------------------------------------------------------------
    def _describe(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        said: dict[str, Any] = {"size": list(self._sizes)}
        if self.schema_.picture is not None:
            said["pixels"] = over_pixels.described(self.model_.scale, self.model_.log_prior)
        return by_gradient.described(self, **said)

    @classmethod
    def _layout(cls, header: Mapping[str, Any], columns: int) -> dict[str, TensorSlot]:
        model, slots = header["model"], dict[str, TensorSlot]()
        if header["schema"].get("picture") is not None:
            kind, net, _, _ = NETWORKS[header["params"]["network"]]
            shapes = net.layout(by_gradient.stated(kind, model["size"]))
        else:
            _, _, slots = places_file.layout_all(model["columns"], columns)
            shapes = Denoiser.layout(by_gradient.stated(Sizes, model["size"]))
        return slots | {f"net.{name}": TensorSlot(shape, torch.float32) for name, shape in shapes.items()}

    def _restore(self, model: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        if self.schema_.picture is not None:
            self._restore_pictures(model)
        else:
            places, sizes = places_file.restored_all(model["columns"], tensors, self._joint.slots), model["size"]
            self._sizes = sizes = Sizes(*sizes)
            labels = 0 if self._label is None else places[self._label].size
            blocks = Cube(places, self._label).blocks(BLOCKS)[0].shape[1]
            if (sizes.columns, sizes.blocks, sizes.labels) != (len(places) - (self._label is not None), blocks, labels):
                raise FileError("its network is of other columns than its schema; the file is damaged")
            self.model_ = self._model(places, Denoiser(sizes, torch.Generator().manual_seed(0)))
        by_gradient.load(self.model_, tensors)
        places_file.set_course(self, model)

    def _restore_pictures(self, model: Mapping[str, Any]) -> None:
        scale, log_prior = over_pixels.restored(model["pixels"], self.schema_)
        self._sizes = sizes = NETWORKS[self.network][0](*model["size"])
        sides, labels = over_pixels.whole(self.schema_), 0 if log_prior is None else len(log_prior)
        if sizes[:5] != (*sides[:2], 3 * sides[2], 2 * sides[2], labels):
            raise FileError("its network is of other pictures than its schema; the file is damaged")
        rng = torch.Generator().manual_seed(0)
        self.model_ = self._picture_model(scale, log_prior, rng)


def _sized(said: Diffusion, width: int, depth: int) -> tuple[int, int]:
    """Width and depth of a network, as said or these."""
    return (
        width if said.width == "auto" else int(said.width),
        depth if said.depth == "auto" else int(said.depth),
    )
