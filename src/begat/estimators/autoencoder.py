"""The estimator of autoencoders: a narrow latent between a table and itself, or what noise left of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Generator, Tensor

from begat.codecs.levels import Missing, Unseen
from begat.core import Batch, Region
from begat.errors import BegatError, NotOffered
from begat.estimators import by_gradient, coded
from begat.estimators.offered import absent
from begat.estimators.over_places import OverPlaces
from begat.estimators.store import Slot as TensorSlot
from begat.estimators.wish import number
from begat.families.autoencoder import Autoencoder as Model
from begat.leaves.places import Places
from begat.nets.coder import Coder
from begat.random import Seed, generator
from begat.schema import Schema

NO_DENSITY = "an autoencoder defines no density; VAE does, and Circuit, Autoregressive, Flow and Diffusion"


class Autoencoder(OverPlaces):
    """An autoencoder over any table, plain or denoising: what of a row goes through a narrow latent; no law of rows.

        z = e(what noise left of x),    loss = -sum_d log P(x_d | z)

    Each P(x_d | z) tilts the column's own law on its places (leaves.places). noise: "masking" (each cell unknown with
    the probability `level`), "gaussian" (normal noise of the deviation `level` on normal scores of ranks) or "none", a
    plain autoencoder. Denoising ones are drawn from by a chain of `steps` that corrupts and restores (Bengio et al.,
    2013), which completes rows, too; one that has learnt by masking says each cell given the others, and so classes.
    Neither has a density; a plain one has nothing but its latent and what it restores.

    latent: numbers of z. width, depth: of the blocks of encoder and decoder. rate, decay: the step of AdamW and its
    decoupled decay. batch, epochs, validation, device, seconds: as of Autoregressive. leaves, task, missing, unseen,
    schema: as of NaiveBayes. random_state: of the first weights, the order of the rows and the noise: the same seed,
    the same fit, if no seconds end it.

    Fitted: history_ (held-out log P(x | z) at each mark, nats per row over independent columns: no likelihood),
    leaves_, rows_, ended_ (why the fit ended before it was done, or "").

    Reference: Vincent, Larochelle, Bengio and Manzagol (2008), Extracting and composing robust features with denoising
    autoencoders; Bengio, Yao, Alain and Vincent (2013).
    """

    log_prob = absent(NO_DENSITY)
    score = absent(NO_DENSITY)
    score_samples = absent(NO_DENSITY)
    likelihood = absent(NO_DENSITY)

    def __init__(
        self,
        *,
        latent: int = 8,
        width: int = 256,
        depth: int = 2,
        noise: str = "masking",
        level: float = 0.3,
        steps: int = 20,
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
        self.latent = latent
        self.width = width
        self.depth = depth
        self.noise = noise
        self.level = level
        self.steps = steps
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
    _size: coded.Size

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
        if self.noise == "masking" and number(self.level) and self.level >= 1:
            raise BegatError(f"level is {self.level!r}; of noise='masking' it is a probability, below 1")
        coded.fit(self, X, y, sample_weight, checkpoint, tell)
        return self

    def _model(self, places: list[Places], rng: torch.Generator) -> Model:
        net = Coder(by_gradient.scales(places), **self._size._asdict(), rng=rng, sure=True)
        return Model(self._joint.spec, places, net, noise=self.noise, level=float(self.level), steps=self.steps)

    # the latent ---------------------------------------------------------------------------------------------------
    def encode(self, X: Any) -> np.ndarray:
        """The latent of what is known of each row -> (n, latent)."""
        return coded.encode(self, X)

    def decode(self, z: Any, random_state: Seed = None) -> Any:
        """A row drawn from P(x | z) for each latent (n, latent), as a frame like X."""
        return coded.decode(self, z, random_state)

    def interpolate(self, a: Any, b: Any, steps: int = 8, random_state: Seed = None) -> Any:
        """Rows drawn along the straight way between the latents of two rows (frames of one row) -> a frame of `steps`
        rows: z(t) = (1 - t) z_a + t z_b."""
        one, two = by_gradient.ends(self.encode(a), self.encode(b), steps)
        t = np.linspace(0, 1, int(steps))[:, None]
        return self.decode((1 - t) * one + t * two, random_state)

    def denoise(self, X: Any) -> Any:
        """Rows as the decoder restores them from their latent, as a frame like X: the most probable level, or the mean
        of a number. What is missing is restored with the rest."""
        check_is_fitted(self, "model_")
        batch = self._joint.put(self.border_.partial(X, self.unseen))
        return self.border_.decode(self._joint.taken(self.model_.restored(batch)), generator=generator(0))[0]

    def log_restored(self, X: Any, y: Any = None) -> np.ndarray:
        """log P(x | z) of each row from its own latent -> (n,), nats: how well it is restored; no likelihood, since a
        latent that knows the row costs nothing."""
        check_is_fitted(self, "model_")
        return self.model_.log_restored(self._joint.put(self._encode(X, y).batch)).numpy()

    # what noise has taught ----------------------------------------------------------------------------------------
    def _needs(self, what: str, *noises: str) -> None:
        """Raise NotOffered unless it was fitted with one of these."""
        if self.noise not in noises:
            words = " or ".join(f"noise={name!r}" for name in noises)
            raise NotOffered(f"an autoencoder with noise={self.noise!r} has no {what}; fit it with {words}")

    def _draw(self, n: int, rng: Generator) -> Batch:
        self._needs("law to draw from", "masking", "gaussian")
        return super()._draw(n, rng)

    def _complete(self, batch: Batch, regions: Mapping[Any, Region], rng: Generator) -> Batch:
        self._needs("law to complete rows by", "masking", "gaussian")
        return super()._complete(batch, regions, rng)

    def _log_posterior(self, batch: Batch) -> Tensor:
        self._needs("probabilities of a column given others", "masking")
        return super()._log_posterior(batch)

    def _expected(self, batch: Batch) -> Tensor:
        self._needs("law of a column given others", "masking")
        return super()._expected(batch)

    def _surprise(self, batch: Batch) -> dict[str | int, np.ndarray]:
        self._needs("law of a column given others", "masking")
        return super()._surprise(batch)

    # one file -----------------------------------------------------------------------------------------------------
    def _describe(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return by_gradient.described(self, size=list(self._size))

    @classmethod
    def _layout(cls, header: Mapping[str, Any], columns: int) -> dict[str, TensorSlot]:
        return coded.layout(header, columns, sure=True)

    def _restore(self, model: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        coded.restore(self, model, tensors)
