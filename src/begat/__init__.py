"""Generative models of a person's own data: learn the joint, ask it anything.

Everything public is here and is imported when it is first used, so that `import begat` costs nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from begat.codecs.data import Data
    from begat.codecs.read import read
    from begat.compare.learning_curve import learning_curve
    from begat.compare.run import compare
    from begat.compare.tree import plot_tree
    from begat.core import Likelihood
    from begat.estimators import GAN, VAE, Autoencoder, Autoregressive, Circuit, Diffusion, Flow, NaiveBayes, load
    from begat.schema import Schema

__version__ = "0.1.0"

__all__ = [
    "GAN",
    "VAE",
    "Autoencoder",
    "Autoregressive",
    "Circuit",
    "Data",
    "Diffusion",
    "Flow",
    "Likelihood",
    "NaiveBayes",
    "Schema",
    "__version__",
    "compare",
    "learning_curve",
    "load",
    "plot_tree",
    "read",
]

_HOMES = {
    "Autoencoder": "begat.estimators",
    "Autoregressive": "begat.estimators",
    "Circuit": "begat.estimators",
    "Data": "begat.codecs.data",
    "Diffusion": "begat.estimators",
    "Flow": "begat.estimators",
    "GAN": "begat.estimators",
    "Likelihood": "begat.core",
    "NaiveBayes": "begat.estimators",
    "Schema": "begat.schema",
    "VAE": "begat.estimators",
    "compare": "begat.compare",
    "learning_curve": "begat.compare",
    "load": "begat.estimators",
    "plot_tree": "begat.compare.tree",
    "read": "begat.codecs.read",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'begat' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Face(ModuleType):
    """Python binds a sub-package to its parent when it is imported; here `begat.compare` stays the function."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face
