"""A network that learns the classes of pictures: a discriminative twin, and the features that others are judged in."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from begat.core import Batch
from begat.fitting.course import INTERRUPTED
from begat.fitting.loop import train
from begat.fitting.plan import Plan
from begat.metrics.columns import label
from begat.nets.recogniser import Looks
from begat.nets.recogniser import Recogniser as Network
from begat.random import mixed

NAME = "convolutional network"
STEPS, BATCH, RATE, DECAY = 800, 64, 2e-3, 0.02
AT_ONCE = 1024
ROWS = 5_000
"""Pictures that principal components are of, at most."""


class Recogniser:
    """A small convolutional network of P(class | picture), trained for a few seconds, the same for the same seed.

    picture: (height, width) or (height, width, channels). levels: of pixels; what lies beyond them counts as the
    nearest. fit, predict, predict_proba as in scikit-learn, of pixels
    (n, D) in a frame or an array, in the order of an array of pictures.
    """

    def __init__(self, picture: tuple[int, ...], *, levels: int = 256, seed: int = 0):
        self.picture, self.levels, self.seed = picture, levels, seed

    def fit(self, X: Any, y: Any) -> Recogniser:
        """Learn from pictures X (n, D) with classes y (n,): STEPS steps, the mean of the weights of the last ninth."""
        pixels = self._pixels(X)
        spelled = np.array([label(v) for v in np.asarray(y, dtype=object)], dtype=object)
        names, codes = np.unique(spelled, return_inverse=True)
        first = {name: value for name, value in zip(spelled[::-1], np.asarray(y, dtype=object)[::-1], strict=True)}
        self.classes_ = np.array([first[name] for name in names], dtype=object)
        numbers = pixels.double()
        height, width, channels = (*self.picture, 1)[:3]
        looks = Looks(height, width, channels, len(names), float(numbers.mean()), float(numbers.std()) or 1.0)
        self.net_ = Network(looks, torch.Generator().manual_seed(mixed(self.seed, "recogniser")))
        plan = Plan(
            STEPS, BATCH, RATE, cool=0.0, decay=DECAY, average=1.0, every=STEPS, seed=mixed(self.seed, "recogniser")
        )
        run = train(self.net_, Batch((pixels,), (None,), torch.from_numpy(codes)), plan)
        if run.ended == INTERRUPTED:
            raise KeyboardInterrupt
        self.net_.requires_grad_(False)
        seen = self._asked(pixels, self.net_.features)
        self.scale_ = float(np.sqrt(seen.var(0, ddof=1).sum())) or 1.0
        return self

    def features(self, X: Any) -> np.ndarray:
        """The 64 numbers before the decision -> (n, 64) float64, in units of the root of the total variance that they
        have on the training pictures."""
        return self._asked(self._pixels(X), self.net_.features) / self.scale_

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """log P(y | x) -> (n, classes), in the order of classes_."""
        return self._asked(self._pixels(X), self.net_)

    def predict_proba(self, X: Any) -> np.ndarray:
        """P(y | x) -> (n, classes), in the order of classes_."""
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each picture (n,)."""
        return self.classes_[self.predict_log_proba(X).argmax(1)]

    def _pixels(self, X: Any) -> torch.Tensor:
        values = np.nan_to_num(np.asarray(X, dtype=np.float64).reshape(len(X), -1))
        return torch.from_numpy(np.clip(values, 0, self.levels - 1).astype(np.float32))

    @staticmethod
    def _asked(pixels: torch.Tensor, ask: Any) -> np.ndarray:
        parts = [ask(pixels[at : at + AT_ONCE]).double() for at in range(0, len(pixels), AT_ONCE)]
        return np.asarray(torch.cat(parts).numpy())


def principal(pixels: np.ndarray, most: int = 64) -> tuple[Any, int]:
    """A function of pixels (n, D) that gives their first principal components (n, d), d at most 64, in units of the
    root of the total variance of these pixels; and d. Pictures without classes are compared in them."""
    centre = np.asarray(pixels, dtype=np.float64)
    middle = centre.mean(0)
    centre = centre - middle
    _, deviations, axes = np.linalg.svd(centre[:ROWS], full_matrices=False)
    count = max(min(most, int((deviations > 1e-9 * max(deviations[0], 1e-9)).sum())), 1)
    scale = float(np.sqrt(centre.var(0, ddof=1).sum())) or 1.0

    def components(X: Any) -> np.ndarray:
        return (np.nan_to_num(np.asarray(X, dtype=np.float64)) - middle) @ axes[:count].T / scale

    return components, count
