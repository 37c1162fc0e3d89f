"""The estimator of variational autoencoders: a normal latent behind the columns of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from begat.codecs.levels import Missing, Unseen
from begat.core import Likelihood
from begat.estimators import by_gradient, coded
from begat.estimators.over_places import OverPlaces
from begat.estimators.store import Slot as TensorSlot
from begat.families.vae import VAE as Model
from begat.leaves.places import Places
from begat.nets.coder import Coder
from begat.random import Seed
from begat.schema import Schema


class VAE(OverPlaces):
    """A variational autoencoder over any table: columns independent given a normal latent; a lower bound.

        P(x) = int N(z; 0, I) prod_d P(x_d | z) dz

    Each P(x_d | z) tilts the column's own law on its places (leaves.places), so that grids and levels have mass, and
    numbers density, as everywhere. log_prob is the importance-weighted bound of `samples` latents a row: below log P(x)
    in the mean. Conditionals, imputation and P(y | x) are answered by the same weighted latents; a class's probability
    given x is thus an estimate, not a ratio of exact joints. A category as y makes a classifier, a number a regression;
    either is a column of the one joint.

    latent: numbers of z. width, depth: of the blocks of encoder and decoder. beta: the weight of the divergence of q(z
    | x) from the prior; 1 is the bound itself. free: nats of each number of z that cost nothing. hide: the share of
    rows of which a random part is hidden, so that the latent of incomplete rows is learnt. samples: latents a row
    behind every answer. rate, decay: the step of AdamW and its decoupled decay. batch, epochs, validation, device,
    seconds: as of Autoregressive. leaves, task, missing, unseen, schema: as of NaiveBayes. random_state: of the first
    weights, the order of the rows and the noise: the same seed, the same fit, if no seconds end it.

    Fitted: history_ (held-out evidence lower bound at each mark, nats per row over independent columns), leaves_,
    rows_, ended_ (why the fit ended before it was done, or "").

    Reference: Kingma and Welling (2014), Auto-encoding variational Bayes; Burda et al. (2016), for the bound.
    """

    def __init__(
        self,
        *,
        latent: int = 8,
        width: int = 256,
        depth: int = 2,
        beta: float = 1.0,
        free: float = 0.0,
        hide: float = 0.2,
        samples: int = 50,
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
        self.beta = beta
        self.free = free
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
        coded.fit(self, X, y, sample_weight, checkpoint, tell)
        return self

    def _model(self, places: list[Places], rng: torch.Generator) -> Model:
        net = Coder(by_gradient.scales(places), **self._size._asdict(), rng=rng)
        how = {"beta": float(self.beta), "free": float(self.free), "hide": float(self.hide), "samples": self.samples}
        return Model(self._joint.spec, places, net, **how)  # type: ignore[arg-type]

    @property
    def likelihood(self) -> Likelihood:
        """What log_prob is: a lower bound from so many latents a row."""
        made = super().likelihood
        return Likelihood("<=", made.unit, made.measure, self.model_.samples, made.unscored, made.schema)

    # the latent ---------------------------------------------------------------------------------------------------
    def encode(self, X: Any) -> np.ndarray:
        """The mean of q(z | x), of what is known of each row -> (n, latent), in units of the prior's deviation."""
        return coded.encode(self, X)

    def decode(self, z: Any, random_state: Seed = None) -> Any:
        """A row drawn from P(x | z) for each latent (n, latent), as a frame like X."""
        return coded.decode(self, z, random_state)

    def interpolate(self, a: Any, b: Any, steps: int = 8, random_state: Seed = None) -> Any:
        """Rows drawn along the way between the latents of two rows (frames of one row) -> a frame of `steps` rows.

        The way is a great circle's, which stays where the prior has its mass: z(t) = (sin((1 - t) w) z_a + sin(t w)
        z_b) / sin w, w the angle between them (White, "Sampling generative networks", 2016, section 2.1).
        """
        one, two = by_gradient.ends(self.encode(a), self.encode(b), steps)
        cosine = float((one @ two.T)[0, 0] / max(float(np.linalg.norm(one) * np.linalg.norm(two)), 1e-12))
        angle, t = float(np.arccos(np.clip(cosine, -1.0, 1.0))), np.linspace(0, 1, int(steps))[:, None]
        if np.sin(angle) < 1e-4:
            return self.decode((1 - t) * one + t * two, random_state)
        return self.decode((np.sin((1 - t) * angle) * one + np.sin(t * angle) * two) / np.sin(angle), random_state)

    # one file -----------------------------------------------------------------------------------------------------
    def _describe(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return by_gradient.described(self, size=list(self._size))

    @classmethod
    def _layout(cls, header: Mapping[str, Any], columns: int) -> dict[str, TensorSlot]:
        return coded.layout(header, columns, sure=False)

    def _restore(self, model: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        coded.restore(self, model, tensors)
