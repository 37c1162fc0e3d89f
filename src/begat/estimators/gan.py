"""The estimator of generative adversarial networks, over tables and pictures."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from os import PathLike
from time import monotonic
from typing import Any, Self

import torch
from torch import Generator, Tensor, nn

from begat.codecs.levels import Missing, Unseen
from begat.core import Batch, Region
from begat.errors import EvidenceError, FileError, Impossible
from begat.estimators import by_gradient, over_pixels, places_file, training
from begat.estimators.cutting import Cut, cut
from begat.estimators.device import chosen, halves
from begat.estimators.offered import absent
from begat.estimators.over_places import OverPlaces, stacked
from begat.estimators.store import Slot as TensorSlot
from begat.estimators.training import Training
from begat.families.gan import GAMES, Judge, Pictures, Scores
from begat.families.gan import GAN as Model
from begat.fitting.plan import Plan
from begat.leaves.cube import Cube
from begat.leaves.pixels import Pixels, Scale
from begat.leaves.places import Places
from begat.nets.adversaries import (
    PictureDiscriminator,
    PictureGenerator,
    PictureSizes,
    RowDiscriminator,
    RowGenerator,
    RowJudge,
    RowSizes,
    layout,
)
from begat.random import Noise, Seed, mixed, seed_of
from begat.schema import Schema

STEPS, PASSES, LEAST = 7_000, 180, 500
"""Steps at most, passes over the rows and steps at least, where nothing is said of epochs."""
RATE, BETAS, BATCH = 2e-3, (0.0, 0.99), 256
LATENT, WIDTH, DEPTH = 32, 128, 3
"""Numbers of noise beside one for each column, width and layers of the networks of a table."""
PICTURE_RATE, PICTURE_BATCH, PICTURE_STEPS = 5e-4, 128, 3_000
PICTURE_LATENT, MAPS, BLOCKS = 64, 64, 1
"""Numbers of noise, maps at the first resolution and blocks at each of the networks of pictures."""
PENALTY, PICTURE_PENALTY, CANDIDATES = 0.5, 1.0, 16
JUDGED = Plan(steps=700, rate=RATE, decay=0.3, every=50, patience=4, warm=0.05, cool=1.0, average=0.99)
"""Draws of which a judge chooses one, and how it is fitted."""
LOST, MOST_LOOKED_AT = 0.5, 500
"""Coverage of held-out rows below which a fit warns that modes are lost; rows that it is taken of."""
POOL, MOST_DRAWS = 4096, 2**15
"""Rows that are drawn at a time until enough fit the evidence, and draws without one after which none will."""
NO_DENSITY = "a GAN defines no density; Flow, Circuit, Autoregressive, VAE and Diffusion do"


class GAN(OverPlaces):
    """A generative adversarial network over tables and pictures: draws, and no density.

        x = G(noise, y),    G lowers what the discriminator D tells draws from data by, which D raises

    Of a table the players meet among the normal scores of the ranks of its cells (leaves.cube): levels are intervals of
    a score, which a draw is exactly in one of, so that no relaxation is needed; within them both real scores and
    drawn ones are spread. The generator moves columns drawn independently, from the column's own laws, and reads
    cosines of their ranks, as the discriminator does of rows: so that both can be sharp where a level ends. Of pictures
    they meet among scaled pixels, spread between levels. Then a judge learns the odds of data against draws, and each
    row that is drawn is one of `candidates`, chosen by those odds. A category as y makes draws of a class; a number as
    y is a column like others. Evidence beside the class is met by drawing until enough rows fit: levels, ranges and
    values on a grid, but no point of a density; cells are not imputed.

    loss: "relativistic" (R3GAN), "classical" (non-saturating) or "minimax". penalty: the weight of the squared
    gradients of the discriminator at real rows and at draws (R1 and R2), "auto" .5, of pictures 1; without it games
    need not converge. candidates: "auto" 16, of pictures 1: draws as the generator gives them. precision: of products
    of convolutions, "auto" bfloat16 where the processor has them. latent, width, depth: numbers of noise, and the
    layers of either network; "auto" 32 (beside one for each column), 128 and 3, of pictures 64, 64 maps and 1 block at
    each resolution. rate, decay: the step of AdamW and its decoupled decay. batch, epochs, validation, device, seconds:
    as of Autoregressive. leaves, task, missing, unseen, schema: as of NaiveBayes. random_state: of the first weights,
    the order of the rows and the noise: the same seed, the same fit, if no seconds end it.

    Fitted: history_ (at each mark the share of held-out rows near which draws fall, coverage; about .97 is all), and a
    warning where it ends below a half, since the generator then has lost modes; leaves_, rows_, ended_.

    Reference: Goodfellow et al. (2014); Huang et al. (2024), The GAN is dead; long live the GAN!
    """

    log_prob = absent(NO_DENSITY)
    score = absent(NO_DENSITY)
    score_samples = absent(NO_DENSITY)
    likelihood = absent(NO_DENSITY)
    predict = absent(NO_DENSITY)
    predict_proba = absent(NO_DENSITY)
    predict_log_proba = absent(NO_DENSITY)
    surprise = absent(NO_DENSITY)
    impute = absent("a GAN completes no rows; Circuit, Autoregressive, VAE, Flow and Diffusion do")

    def __init__(
        self,
        *,
        loss: str = "relativistic",
        penalty: float | str = "auto",
        candidates: int | str = "auto",
        latent: int | str = "auto",
        width: int | str = "auto",
        depth: int | str = "auto",
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
        self.loss = loss
        self.penalty = penalty
        self.candidates = candidates
        self.latent = latent
        self.width = width
        self.depth = depth
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

    model_: Any
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
        """Learn to draw X and y; arguments as of Autoregressive.fit. Warns where modes are lost."""
        started, seed = monotonic(), seed_of(self.random_state)
        read = self._begin(X, y, sample_weight, checkpoint)
        rng = torch.Generator().manual_seed(mixed(seed, "weights"))
        prepare = self._of_rows if self.schema_.picture is None else self._of_pictures
        rows, examples, plan = prepare(read, rng)
        by_gradient.learn(
            self, rows, examples, plan, sizes=[self.loss, *self._sizes], started=started, checkpoint=checkpoint,
            tell=tell, score=self._coverage(examples, plan),
        )  # fmt: skip
        if self.history_ and self.history_[-1] < LOST and not self.ended_:
            warnings.warn(
                f"the generator has lost modes: its draws come near {self.history_[-1]:.0%} of held-out rows (about "
                "97% is all); a larger penalty, more epochs or loss='relativistic' may help",
                UserWarning,
                stacklevel=2,
            )
        if self._candidates > 1 and any(True for _ in self.model_.parameters()):
            judged = replace(JUDGED, steps=min(JUDGED.steps, plan.steps), batch=2 * plan.batch, seed=plan.seed)
            by_gradient.learn(
                self, rows, examples, judged, sizes=["judge", *self._sizes], started=started, checkpoint=checkpoint,
                tell=tell, model=Judge(self.model_),
            )  # fmt: skip
        return self

    def _of_rows(self, read: Training, rng: Generator) -> tuple[Cut, Batch, Plan]:
        """The fit to rows of a table; sets the model."""
        rows = cut(self.leaves, self._joint.slots, read, self._joint.put, kernels=False)
        count, labels = len(rows.places) - (self._label is not None), 0
        if self._label is not None:
            labels = rows.places[self._label].size
        latent, width, depth = self._sized(LATENT, WIDTH, DEPTH)
        self._sizes = RowSizes(count, latent, labels, width, depth)
        self.model_ = self._row_model(rows.places, rng)
        examples, rows = by_gradient.as_pieces(self.model_.space, map(self._joint.put, read.batches), rows)
        return rows, examples, self._plan(rows, RATE, BATCH, STEPS)

    def _of_pictures(self, read: Training, rng: Generator) -> tuple[Cut, Batch, Plan]:
        """The fit to pictures; sets the model."""
        found = over_pixels.pixels(read, self._joint, self.schema_)
        labels = 0 if found.log_prior is None else len(found.log_prior)
        latent, width, depth = self._sized(PICTURE_LATENT, MAPS, BLOCKS)
        self._sizes = PictureSizes(*over_pixels.whole(self.schema_), latent, labels, width, depth)
        self.model_ = self._picture_model(found.scale, found.log_prior, rng)
        return found.rows, found.examples, self._plan(found.rows, PICTURE_RATE, PICTURE_BATCH, PICTURE_STEPS)

    def _sized(self, *usual: int) -> tuple[int, ...]:
        """Noise, width and depth, as said or these."""
        said = (self.latent, self.width, self.depth)
        return tuple(own if one == "auto" else int(one) for one, own in zip(said, usual, strict=True))

    def _plan(self, rows: Cut, rate: float, batch: int, most: int) -> Plan:
        batch = min(batch, len(rows.cells))
        plan = by_gradient.plan_of(self, rows, rate=rate, decay=0.0, patience=None, batch=batch, passes=PASSES)
        steps = min(max(plan.steps, LEAST), most) if self.epochs == "auto" else plan.steps
        return replace(
            plan, steps=steps, betas=BETAS, warm=0.02, cool=0.5, clip=None, every=max(steps // 20, 1), last=True
        )

    def _row_model(self, places: list[Places], rng: Generator) -> Model:
        net = {"generator": RowGenerator(self._sizes, rng), "discriminator": RowDiscriminator(self._sizes, rng)}
        if self._candidates > 1:
            net["judge"] = RowJudge(self._sizes, rng)
        log_prior = None if self._label is None else places[self._label].log_base
        space = Scores(Cube(places, self._label), self._joint.spec)
        return self._game(space, net, self._sizes.columns + self._sizes.latent, log_prior)

    def _picture_model(self, scale: Scale, log_prior: Tensor | None, rng: Generator) -> Model:
        net = {"generator": PictureGenerator(self._sizes, rng), "discriminator": PictureDiscriminator(self._sizes, rng)}
        if self._candidates > 1:
            net["judge"] = PictureDiscriminator(self._sizes, rng)
        for each in net.values():
            each.in_half = halves(self.precision, chosen(self.device))  # type: ignore[assignment]
        assert self.schema_.picture is not None
        space = Pictures(Pixels(self.schema_.picture, scale), self._joint.spec.fields[1].shape[0])
        return self._game(space, net, self._sizes.latent, log_prior)

    @property
    def _candidates(self) -> int:
        return _candidates(self.candidates, self.schema_.picture is not None)

    def _game(self, space: Any, net: dict[str, nn.Module], latent: int, log_prior: Tensor | None) -> Model:
        usual = PENALTY if self.schema_.picture is None else PICTURE_PENALTY
        penalty = usual if self.penalty == "auto" else float(self.penalty)
        return Model(
            self._joint.spec, space, nn.ModuleDict(net), latent, log_prior, GAMES[self.loss], penalty,
            self._candidates,
        )  # fmt: skip

    @property
    def _places(self) -> list[Places]:
        space = self.model_.space
        return list(space.cube.places) if isinstance(space, Scores) else []

    def _coverage(self, examples: Batch, plan: Plan) -> Callable[[], Tensor] | None:
        """Which held-out rows are covered by draws, as a score of a fit."""
        held, _ = training.held_out(len(examples), self.validation, plan.seed)
        held = held[:MOST_LOOKED_AT]
        if len(held) < 2:
            return None
        device = chosen(self.device)
        seen = examples.rows(held).having(weight=None).to(device)

        def score() -> Tensor:
            noise = Noise(mixed(plan.seed, "held out"), len(held), device=device)
            return self.model_.covered(self.model_.space.real(seen, noise), seen.cond, noise)

        return score

    # draws --------------------------------------------------------------------------------------------------------
    def _complete(self, batch: Batch, regions: Mapping[Any, Region], rng: Generator) -> Batch:
        """Rows drawn until they fit: rows with the same evidence share draws."""
        asked, wide = self._asked(regions), self._joint.put(batch)
        told = torch.cat([c.double() * (1 if k is None else k) for c, k in zip(wide.x, wide.known, strict=True)], 1)
        masks = [
            torch.ones_like(c, dtype=torch.bool) if k is None else k for c, k in zip(wide.x, wide.known, strict=True)
        ]
        known = torch.cat(masks, 1)
        label = self._labels(wide)
        if not asked and not bool(known[:, : known.shape[1] - (label is not None)].any()):
            return self._joint.taken(self.model_.sample(len(batch), self._given(label, rng), generator=rng))
        self._check(wide, masks)
        _, group = torch.cat([told, known.double()], 1).unique(dim=0, return_inverse=True)
        out: list[Batch | None] = [None] * len(batch)
        for of in range(int(group.max()) + 1):
            rows = (group == of).nonzero()[:, 0]
            made = self._until(wide.rows(rows[:1]), masks, rows, asked, None if label is None else label[rows[:1]], rng)
            for number, row in enumerate(rows.tolist()):
                out[row] = made.rows(slice(number, number + 1))
        return self._joint.taken(stacked([each for each in out if each is not None]))

    def _until(
        self, one: Batch, masks: list[Tensor], rows: Tensor, asked: Mapping[int, Region], label: Tensor | None,
        rng: Generator,
    ) -> Batch:  # fmt: skip
        """As many rows as these that have what is known of the one and lie in the regions."""
        found: list[Batch] = []
        have, idle = 0, 0
        while have < len(rows):
            labels = None if label is None else self._given(label.expand(POOL), rng)
            made = self.model_.sample(POOL, labels, generator=rng)
            fits = torch.ones(POOL, dtype=torch.bool)
            for x, wanted, mask in zip(made.x, one.x, masks, strict=True):
                fits &= ((x == wanted) | ~mask[rows[:1]]).all(1)
            for d, region in asked.items():
                fits &= self._inside(made, d, region)
            hits = fits.nonzero()[:, 0][: len(rows) - have]
            idle = 0 if len(hits) else idle + POOL
            if idle > MOST_DRAWS:
                raise Impossible(int(rows[0]))
            if len(hits):
                found.append(made.rows(hits))
                have += len(hits)
        return stacked(found)

    def _inside(self, made: Batch, d: int, region: Region) -> Tensor:
        """Which rows have column d in its region."""
        slot = self._joint.slots[d]
        out = torch.ones(len(made), dtype=torch.bool)
        free = out if slot.code is None else made.x[1][:, slot.code] == 0
        if slot.code is not None and region.codes is not None:
            out &= region.codes[made.x[1][:, slot.code].long()]
        if slot.value is not None:
            x = made.x[0][:, slot.value]
            out &= ~free | ((x >= region.lower) & (x <= region.upper))
        return out

    def _labels(self, wide: Batch) -> Tensor | None:
        """The class of each row, -1 where it is unknown; None without classes."""
        if self.role_ != "classification":
            return None
        codes, known = wide.x[1][:, -1].long(), wide.known[1]
        return codes if known is None else torch.where(known[:, -1], codes, -1)

    def _given(self, label: Tensor | None, rng: Generator) -> Tensor | None:
        """The classes of rows, drawn where they are unknown."""
        if label is None or self.model_.log_prior is None:
            return None
        drawn = torch.multinomial(self.model_.log_prior.exp(), len(label), True, generator=rng)
        return torch.where(label < 0, drawn, label)

    def _check(self, wide: Batch, masks: list[Tensor]) -> None:
        """Raise EvidenceError for known points of a density, which no draw has."""
        for slot in self._joint.slots:
            dense = slot.value is not None and slot.column.measure == "density"
            if dense and bool((masks[0][:, slot.value] & (slot.code is None or wide.x[1][:, slot.code] == 0)).any()):
                raise EvidenceError(
                    f"a GAN has no density, and no draw has exactly this {slot.column.name!r}; give a range"
                )

    # one file -----------------------------------------------------------------------------------------------------
    def _describe(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        said: dict[str, Any] = {"size": list(self._sizes)}
        if self.schema_.picture is not None:
            said["pixels"] = over_pixels.described(self.model_.space.pixels.scale, self.model_.log_prior)
        said, tensors = by_gradient.described(self, **said)
        return said, {n: t for n, t in tensors.items() if not n.startswith("net.discriminator.")}

    @classmethod
    def _layout(cls, header: Mapping[str, Any], columns: int) -> dict[str, TensorSlot]:
        model, slots = header["model"], dict[str, TensorSlot]()
        kinds: tuple[Any, Any, Any] = (PictureSizes, PictureGenerator, PictureDiscriminator)  # which judges, too
        shown = header["schema"].get("picture") is not None
        if not shown:
            _, _, slots = places_file.layout_all(model["columns"], columns)
            kinds = (RowSizes, RowGenerator, RowJudge)
        sizes = by_gradient.stated(kinds[0], model["size"])
        nets = {"generator": kinds[1]} | (
            {"judge": kinds[2]} if _candidates(header["params"]["candidates"], shown) > 1 else {}
        )
        for player, kind in nets.items():
            shapes = layout(kind, sizes)
            slots |= {f"net.{player}.{name}": TensorSlot(shape, torch.float32) for name, shape in shapes.items()}
        return slots

    def _restore(self, model: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        rng = torch.Generator().manual_seed(0)
        if self.schema_.picture is not None:
            scale, log_prior = over_pixels.restored(model["pixels"], self.schema_)
            self._sizes = PictureSizes(*model["size"])
            labels = 0 if log_prior is None else len(log_prior)
            fits = (self._sizes[:3], self._sizes.labels) == (over_pixels.whole(self.schema_), labels)
            self.model_ = self._picture_model(scale, log_prior, rng)
        else:
            places = places_file.restored_all(model["columns"], tensors, self._joint.slots)
            self._sizes = RowSizes(*model["size"])
            labels = 0 if self._label is None else places[self._label].size
            fits = (self._sizes.columns, self._sizes.labels) == (len(places) - (self._label is not None), labels)
            self.model_ = self._row_model(places, rng)
        if not fits:
            raise FileError("its networks are of other columns than its schema; the file is damaged")
        del self.model_.net["discriminator"]  # which no draw needs, and no file has
        by_gradient.load(self.model_, tensors)
        places_file.set_course(self, model)

    # scikit-learn -------------------------------------------------------------------------------------------------
    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type, tags.classifier_tags, tags.regressor_tags = None, None, None
        return tags


def _candidates(said: int | str, shown: bool) -> int:
    """Draws of which one is taken: as said, or as many as usual of rows or of pictures."""
    return (1 if shown else CANDIDATES) if said == "auto" else int(said)
