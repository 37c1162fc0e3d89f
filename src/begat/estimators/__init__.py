"""The public classes: a recipe and its fit, one file per family; and the way back from a file."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from begat.estimators import saved
from begat.estimators.autoencoder import Autoencoder
from begat.estimators.autoregressive import Autoregressive
from begat.estimators.base import Generative
from begat.estimators.circuit import Circuit
from begat.estimators.diffusion import Diffusion
from begat.estimators.flow import Flow
from begat.estimators.gan import GAN
from begat.estimators.naive_bayes import NaiveBayes
from begat.estimators.vae import VAE

FAMILIES: Mapping[str, type[Generative]] = {
    "Autoencoder": Autoencoder,
    "Autoregressive": Autoregressive,
    "Circuit": Circuit,
    "Diffusion": Diffusion,
    "Flow": Flow,
    "GAN": GAN,
    "NaiveBayes": NaiveBayes,
    "VAE": VAE,
}
"""Every family that a file may name."""

__all__ = [
    "FAMILIES",
    "GAN",
    "VAE",
    "Autoencoder",
    "Autoregressive",
    "Circuit",
    "Diffusion",
    "Flow",
    "Generative",
    "NaiveBayes",
    "load",
]


def load(path: str | PathLike[str]) -> Any:
    """The fitted estimator of a file that `save` wrote. Executes nothing; FileError for what is no such file."""
    return saved.read(path, FAMILIES)
