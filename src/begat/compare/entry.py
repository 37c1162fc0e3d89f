"""What is compared: begat's models, the floor, the ceiling, the discriminative twins, a person's own, files of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from begat.codecs.data import Data, PictureData
from begat.codecs.pictures import levels_of
from begat.codecs.read import read
from begat.compare.picture_table import rows_of
from begat.compare.recogniser import NAME as RECOGNISER
from begat.compare.recogniser import Recogniser
from begat.compare.table import Table, as_pandas
from begat.compare.twins import Twin
from begat.errors import DataError, did_you_mean
from begat.estimators import GAN, VAE, Autoencoder, Autoregressive, Circuit, Diffusion, Flow, NaiveBayes

if TYPE_CHECKING:
    import pandas as pd

Part = Literal["model", "own", "synthetic", "floor", "ceiling", "twin"]
FLOOR = "independent columns"
CEILING = "real rows"
STEPS, SAMPLES = 800, 20
"""Steps that flows, diffusion, GANs and autoencoders have in a comparison, and latents behind an answer: ten seconds
on two cores, where a fit of its own goes on until it stalls."""
PICTURE_SECONDS = 180.0
"""After which a fit to pictures ends, whatever its steps: those of a few thousand of 8 x 8 take a minute at most."""
BOOSTED = 256
"""Pixels beyond which gradient boosting is left out unless it is named: it takes minutes."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One row of the comparison: an estimator to be made and fitted, or rows that are there already.

    role: "model" one of begat's, "own" a person's estimator, "synthetic" a person's rows, "floor", "ceiling", "twin".
    cell: seconds that a cell of the training rows takes to learn, roughly. usual: whether it is there unless named.
    """

    name: str
    role: Part
    about: str
    make: Callable[[], Any] | None = None
    rows: pd.DataFrame | None = None
    linear: bool = False
    cell: float = 4e-6
    usual: bool = True


def entries(
    table: Table,
    models: str | Iterable[str] | Mapping[str, Any] = "default",
    synthetic: Mapping[str, Any] | Iterable[Any] | str | Path | None = None,
    seed: int = 0,
) -> tuple[Entry, ...]:
    """The rows of the comparison in their order; floor and ceiling are always among them.

    models: "default", some of the names, or a mapping of name to a person's own estimator, which joins the default
    ones. synthetic: a mapping of name to frame or file, or files. Raises DataError for unknown or repeated names.
    """
    known = _known(table, seed)
    own: dict[str, Any] = {}
    chosen = [n for n, e in known.items() if e.usual]
    if isinstance(models, Mapping):
        own = dict(models)
    elif models != "default":
        chosen = [_named(n, known) for n in ([models] if isinstance(models, str) else models)]
    made = [e for n, e in known.items() if n in chosen and e.role == "model"]
    for name, estimator in own.items():
        if isinstance(estimator, type) or not hasattr(estimator, "fit"):
            raise DataError(f"model {name!r} is {estimator!r}; expected an estimator object with a fit method")
        made.append(Entry(str(name), "own", _sentence(estimator), _cloner(estimator)))
    made += [
        Entry(n, "synthetic", f"{len(f):,} {table.noun}s given", None, f) for n, f in _frames(synthetic, table).items()
    ]
    made += [known[FLOOR], known[CEILING]]
    made += [e for n, e in known.items() if n in chosen and e.role == "twin"]
    names = [e.name for e in made]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise DataError(f"two rows of the comparison would be named {twice!r}; give yours another name")
    return tuple(made)


def _known(table: Table, seed: int) -> dict[str, Entry]:
    schema, classes = table.schema, table.classes
    passes, noisy, seconds, rates = _budget(table)
    noised = "the normal scores of the columns' ranks" if table.picture is None else "pixels by a U-Net"
    found = [
        Entry(
            "naive Bayes (Gaussian)",
            "model",
            "P(y) prod_j P(x_j | y), a Gaussian for every number",
            lambda: NaiveBayes(leaves="gaussian", schema=schema, random_state=seed),
        ),
        Entry(
            "naive Bayes",
            "model",
            "P(y) prod_j P(x_j | y), the law of each column chosen by held-out likelihood",
            lambda: NaiveBayes(schema=schema, random_state=seed),
        ),
        Entry(
            "circuit",
            "model",
            "a hidden tree over the columns, sum_z P(z) prod_j P(x_j | z_host(j))",
            lambda: Circuit(seconds=seconds, schema=schema, random_state=seed),
            cell=rates[0],
        ),
        Entry(
            "autoregressive",
            "model",
            "prod_j P(x_j | x_1 ... x_j-1), a network of conditionals over the columns",
            lambda: Autoregressive(seconds=seconds, schema=schema, random_state=seed),
            cell=rates[0],
        ),
        Entry(
            "flow",
            "model",
            "P(y) prod_j p0(x_j) |det dT / du|, invertible maps of the columns' ranks; a lower bound where columns "
            f"have mass, here after about {STEPS:,} steps",
            lambda: Flow(epochs=passes, seconds=seconds, schema=schema, random_state=seed),
            cell=rates[1],
        ),
        Entry(
            "diffusion",
            "model",
            f"noise taken out of {noised}, step by step; a lower bound, here after about {STEPS:,} steps",
            lambda: Diffusion(epochs=noisy, samples=16, seconds=seconds, schema=schema, random_state=seed),
            cell=rates[2],
        ),
        Entry(
            "VAE",
            "model",
            "int N(z; 0, I) prod_j P(x_j | z) dz, columns independent given a normal latent; a lower bound, here after "
            f"about {STEPS:,} steps",
            lambda: VAE(epochs=passes, samples=SAMPLES, seconds=seconds, schema=schema, random_state=seed),
            cell=rates[1],
        ),
        Entry(
            "GAN",
            "model",
            "G(noise, y), which a discriminator cannot tell from data; draws alone, no density, here after about "
            f"{STEPS:,} steps",
            lambda: GAN(
                epochs=2 * noisy if table.picture is None else noisy,
                width="auto" if table.picture is None else 32,
                seconds=seconds,
                schema=schema,
                random_state=seed,
            ),
            cell=rates[1],
        ),
        Entry(
            "denoising autoencoder",
            "model",
            "each cell given others through a narrow latent, drawn by a chain that hides and restores; no density, "
            f"here after about {STEPS:,} steps",
            lambda: Autoencoder(epochs=passes, seconds=seconds, schema=schema, random_state=seed),
            cell=rates[1],
            usual=False,
        ),
        Entry(
            FLOOR,
            "floor",
            "P(y) prod_j P(x_j): every column drawn by itself, the target too",
            lambda: NaiveBayes(task="density", schema=schema, random_state=seed),
        ),
        Entry(
            CEILING,
            "ceiling",
            "real rows in the place of synthetic ones: detection, training rows against held-out rows; copying, half "
            "of the held-out rows with the other half as hold-out; utility, a model trained on real training rows",
        )
        if table.picture is None
        else Entry(
            CEILING,
            "ceiling",
            "real pictures in the place of made ones: feature distance and detection, as many training pictures "
            "against held-out ones; copying, half of the held-out pictures with the other half as hold-out",
        ),
    ]
    if table.target is not None:
        linear = "logistic regression" if classes else "ridge regression"
        found += [
            Entry(
                linear,
                "twin",
                "P(y | x) linear in one-hot levels and standardised numbers",
                lambda: Twin("linear", classes=classes, schema=schema, seed=seed),
                linear=True,
            ),
            Entry(
                "gradient boosting",
                "twin",
                "P(y | x) by histogram gradient boosting" if classes else "E[y | x] by histogram gradient boosting",
                lambda: Twin("boosting", classes=classes, schema=schema, seed=seed),
                usual=table.picture is None or len(schema) - 1 <= BOOSTED,
            ),
        ]
    if table.picture is not None and classes:
        picture = table.picture
        found.append(
            Entry(
                RECOGNISER,
                "twin",
                "P(y | x) by the network whose features pictures are compared in",
                lambda: Recogniser(picture, levels=levels_of(schema), seed=seed),
            )
        )
    return {e.name: e for e in found}


def _budget(table: Table) -> tuple[int, int, float | None, tuple[float, float, float]]:
    """Passes of flows and autoencoders, whose batches are of about sqrt(3 n) rows, and of diffusion, of 512 rows or 128
    pictures; the seconds after which a fit ends; seconds a cell of circuits and autoregression, of the former, of the
    latter."""
    n, shown = max(len(table.frame), 1), table.picture is not None
    rates = (2.5e-4, 1e-4, 8e-4) if shown else (1e-4, 4e-5, 1e-4)
    noisy = max(round(STEPS * (128 if shown else 512) / n), 1)
    return max(round(STEPS / max(n / 3, 1) ** 0.5), 1), noisy, PICTURE_SECONDS if shown else None, rates


def _named(name: str, known: Mapping[str, Entry]) -> str:
    for k in known:
        if k.casefold() == str(name).casefold():
            return k
    raise DataError(f"no model {name!r} to compare{did_you_mean(name, known)}")


def _sentence(estimator: Any) -> str:
    text = " ".join(repr(estimator).split())
    return text if len(text) <= 100 else text[:97] + "..."


def _cloner(estimator: Any) -> Callable[[], Any]:
    """A maker of unfitted copies, so that the person's own object stays as it is."""

    def make() -> Any:
        from copy import deepcopy

        from sklearn.base import clone

        return clone(estimator) if hasattr(estimator, "get_params") else deepcopy(estimator)

    return make


def _frames(synthetic: Any, table: Table) -> dict[str, pd.DataFrame]:
    """A person's synthetic rows, or pictures, by name; files are read as the table's own."""
    import pandas as pd

    if synthetic is None:
        return {}
    if isinstance(synthetic, (str, Path)):
        synthetic = [synthetic]
    if isinstance(synthetic, pd.DataFrame):
        raise DataError("synthetic is a frame; give a mapping of name to frame, or files")
    pairs = synthetic.items() if isinstance(synthetic, Mapping) else [(Path(s).name, s) for s in synthetic]
    out = {}
    for name, rows in pairs:
        if table.picture is not None:
            out[str(name)] = rows_of(rows, table.schema)
            continue
        found = read(rows) if isinstance(rows, (str, Path)) else as_pandas(rows)
        if isinstance(found, PictureData):
            raise DataError(f"{rows} is pictures, but a table is compared; give rows of it")
        out[str(name)] = found.frame if isinstance(found, Data) else found
    return out
