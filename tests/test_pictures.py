"""Pictures as rows of pixels: a table of constructors times laws; and diffusion over pixels against its own bound."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

import begat
from begat import VAE, Autoregressive, Circuit, Diffusion, Flow, NaiveBayes
from begat.core import Batch, Spec
from begat.errors import DataError, EvidenceError
from begat.families.pixel_diffusion import NEAR, PixelDiffusion
from begat.leaves.pixels import Pixels, Scale
from begat.maths.ode import SOLVERS
from begat.maths.path import Way
from begat.nets.unet import Sizes, UNet

SMALL = {"width": 16, "epochs": 3, "batch": 32}
MODELS: dict[str, Callable[..., Any]] = {
    "naive Bayes": lambda **how: NaiveBayes(**how),
    "circuit": lambda **how: Circuit(**{"units": 4, "epochs": 2, **how}),
    "autoregressive": lambda **how: Autoregressive(**{**SMALL, "depth": 1, **how}),
    "autoencoder": lambda **how: VAE(**{**SMALL, "depth": 1, "latent": 2, "samples": 8, **how}),
    "flow": lambda **how: Flow(**{**SMALL, "depth": 1, "transforms": 2, "samples": 4, **how}),
    "diffusion": lambda **how: Diffusion(**{**SMALL, "width": 8, "depth": 1, "steps": 4, "samples": 4, **how}),
    "diffusion, transformer": lambda **how: Diffusion(
        **{**SMALL, "width": 8, "depth": 1, "steps": 4, "samples": 4, "network": "transformer", **how}
    ),
}
over = pytest.mark.parametrize("name", MODELS)


def shown(n: int = 120, shape: tuple[int, ...] = (4, 5), levels: int = 4, seed: int = 0) -> tuple[Any, Any]:
    """Pictures of one bright line, across (class 0) or down (class 1), on noise -> bytes (n, *shape), labels."""
    rng = np.random.default_rng(seed)
    X, y = rng.integers(0, 2, (n, *shape)), rng.integers(0, 2, n)
    for picture, label in zip(X, y, strict=True):
        at = rng.integers(shape[label])
        picture[(at, slice(None)) if label == 0 else (slice(None), at)] = levels - 1
    return X.astype(float), np.array(["across", "down"])[y]


@pytest.fixture(scope="module")
def fits() -> dict[str, Any]:
    X, y = shown()
    return {name: make().fit(X, y) for name, make in MODELS.items()}


# every family -----------------------------------------------------------------------------------------------------
@over
def test_pictures_come_back_as_they_were(fits, name, tmp_path):
    X, y = shown()
    model = fits[name]
    drawn, of = model.sample(7, return_y=True, random_state=0)
    assert drawn.shape == (7, 4, 5) and drawn.dtype == X.dtype and set(of) <= {"across", "down"}
    assert set(np.unique(drawn)) <= {0, 1, 2, 3}
    assert (model.sample(4, y="down", return_y=True)[1] == "down").all()
    assert model.surprise(X[:3]).shape == (3, 4, 5) and (model.surprise(X[:3]) > -1e-6).all()
    model.save(tmp_path / "m.safetensors")
    again = begat.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.log_prob(X[:5], y[:5]), model.log_prob(X[:5], y[:5]))
    np.testing.assert_array_equal(again.sample(3, random_state=1), model.sample(3, random_state=1))


@over
def test_masked_pixels_are_drawn_and_known_ones_stay(fits, name):
    X, _ = shown()
    holes = X[:3].copy()
    holes[:, 1:3] = np.nan
    filled, known = fits[name].impute(holes, random_state=0), ~np.isnan(holes)
    assert filled.shape == holes.shape and np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[known], holes[known])
    masked = np.ma.MaskedArray(X[:3], np.isnan(holes))
    np.testing.assert_array_equal(fits[name].impute(masked, random_state=0), filled)
    many = fits[name].sample(6, given=holes[0], random_state=0)
    assert many.shape == (6, 4, 5) and (many[:, known[0]] == X[0][known[0]]).all()
    with pytest.raises(EvidenceError, match="n is 2 but given has 3"):
        fits[name].sample(2, given=holes)


@over
def test_a_picture_has_its_answer_in_any_batch(fits, name):
    X, _ = shown(40, seed=1)
    whole = fits[name].log_prob(X)
    np.testing.assert_allclose(fits[name].log_prob(X[7:8]), whole[7:8], rtol=2e-3 if "diffusion" in name else 1e-5)
    np.testing.assert_allclose(fits[name].log_prob(X[::-1])[::-1], whole, rtol=2e-3 if "diffusion" in name else 1e-5)
    np.testing.assert_array_equal(fits[name].log_prob(X.reshape(40, -1)), whole)


@over
def test_pictures_of_another_shape_are_refused(fits, name):
    X, _ = shown()
    for verb in ("log_prob", "predict", "impute", "surprise"):
        with pytest.raises(DataError, match=r"pictures of 5 x 4, but the model is of pictures of 4 x 5"):
            getattr(fits[name], verb)(X.transpose(0, 2, 1))


@over
@pytest.mark.parametrize("shape", [(3, 3), (4, 4, 1), (3, 4, 3), (5, 3, 4)])
def test_colours_and_bytes(name, shape):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (60, *shape)).astype(np.uint8)
    model = MODELS[name](task="density").fit(X)
    drawn = model.sample(3, random_state=0)
    assert drawn.shape == (3, *shape) and drawn.dtype == np.uint8
    assert model.schema_.picture == shape and model.schema_["x0"].limits == (0, 255)
    assert np.isfinite(model.log_prob(X[:4])).all()


@pytest.mark.parametrize(
    ("X", "said"),
    [
        (np.full((9, 3, 3), 0.5), "pixels are levels: give"),
        (np.full((9, 3, 3), -1), "numbers from -1 to -1"),
        (np.full((9, 3, 3), 700), "pixels are levels from 0 to 255"),
        (np.full((9, 3, 8, 8), 1), r"channels come last: np.moveaxis\(X, 1, -1\)"),
        (np.full((9, 3, 4, 7), 1), "1, 3 or 4 channels"),
        (np.full((9, 3, 3), "a"), "of numbers"),
        (np.where(np.arange(9)[:, None, None] == 4, np.nan, np.ones((9, 3, 3))), "picture 4 has a pixel that is no"),
        (np.ones((0, 3, 3)), "is none"),
    ],
)
def test_what_is_no_picture_is_refused(X, said):
    with pytest.raises(DataError, match=said):
        NaiveBayes().fit(X)


# diffusion over pixels --------------------------------------------------------------------------------------------
def little() -> PixelDiffusion:
    """An untrained model of pictures of two pixels whose network says something."""
    net, seeded = (
        UNet(Sizes(2, 1, 3, 2, 0, 8, 0, 1), torch.Generator().manual_seed(0)),
        torch.Generator().manual_seed(1),
    )
    net.requires_grad_(False)
    net.leave.weight.copy_(torch.randn(net.leave.weight.shape, generator=seeded) * 0.05)
    how = {"steps": 8, "hide": 0.0, "samples": 4096, "guidance": 1.0}
    way, solver = Way.of("preserving", "v"), SOLVERS["dpm"]
    return PixelDiffusion(Spec(()), Pixels((2, 1), Scale(1.0, 1.0, 3)), None, net, way, solver, **how).eval()


def test_bounds_of_all_pictures_sum_to_less_than_one():
    """Whatever the network says; and to nearly one where it is well fitted, to pictures of two pixels that agree: by
    4,096 draws a picture, which leave an error of .02."""
    every = np.array(list(product(range(3), repeat=2)), dtype=float).reshape(-1, 2, 1)
    batch = Batch((torch.from_numpy(every.reshape(-1, 2)), torch.zeros(9, 0).int()), (None, None))
    assert logsumexp(little().log_prob(batch).numpy()) < 0.02
    X = np.random.default_rng(0).integers(0, 3, (300, 1, 1)).astype(float).repeat(2, 1)
    log_p = Diffusion(width=16, depth=1, epochs=60, batch=64, hide=0.0, samples=4096).fit(X).log_prob(every)
    agree = every[:, 0, 0] == every[:, 1, 0]
    assert -0.2 < logsumexp(log_p) < 0.02 and np.abs(log_p[agree] + np.log(3)).max() < 0.3


def test_the_denoiser_gives_the_mean_of_levels_under_a_normal():
    """Of all levels, against those NEAR ones that it looks at; narrow deviations give the nearest level."""
    levels = 9
    model = PixelDiffusion(
        Spec(()), Pixels((1, 1), Scale(4.0, 2.0, levels)), None, lambda *_: None, Way.of("straight", "data"),
        SOLVERS["euler"], steps=2, hide=0.0, samples=2, guidance=1.0,
    )  # fmt: skip
    at, s = torch.linspace(-2.4, 2.4, 49).view(-1, 1, 1, 1), 0.3
    z = (torch.arange(levels) - 4.0) / 2.0
    log_p = -0.5 * ((z - at) / s) ** 2
    torch.testing.assert_close(model._level(at, torch.full_like(at, s)), (log_p.softmax(3) * z).sum(3, keepdim=True))
    nearest = model._level(at, torch.full_like(at, 1e-4))
    assert (nearest[:, 0, 0] * 2 + 4 - (nearest[:, 0, 0] * 2 + 4).round()).abs().max() < 1e-4 and NEAR >= 3


@pytest.mark.parametrize("network", ["unet", "transformer"])
def test_gradients_reach_every_parameter(network):
    X, y = shown()
    model = Diffusion(**{**SMALL, "width": 8, "epochs": 2, "network": network}).fit(X, y)
    start = copy.deepcopy(model.model_.net.state_dict())
    again = Diffusion(**{**SMALL, "width": 8, "epochs": 6, "network": network}).fit(X, y)
    moved = {n: bool((start[n] != p).any()) for n, p in again.model_.net.state_dict().items()}
    assert all(moved.values()), [n for n, m in moved.items() if not m]


@pytest.mark.parametrize(("network", "width"), [("unet", 16), ("transformer", 64)])
def test_diffusion_learns_lines(network, width):
    """Classes of held-out pictures at 19 of 20 at least, and bounds above those of independent pixels by 3 nats."""
    X, y = shown(600)
    X_new, y_new = shown(100, seed=5)
    how = {"network": network, "width": width, "depth": 1 if network == "unet" else 2}
    model = Diffusion(**how, epochs=60, batch=64, steps=10, samples=16).fit(X, y)
    assert (model.predict(X_new) == y_new).mean() >= 0.95
    assert model.log_prob(X_new, y_new).mean() > NaiveBayes().fit(X, y).log_prob(X_new, y_new).mean() + 3
    holes = X_new[:40].copy()
    holes[:, 2:, 2:] = np.nan
    filled = model.impute(holes, random_state=0)
    assert (model.predict(filled) == y_new[:40]).mean() >= 0.8
    estimate = model.log_ode(X_new[:30], y_new[:30], steps=60)
    bound = Diffusion.set_params(copy.deepcopy(model), samples=16).log_prob(X_new[:30], y_new[:30])
    assert abs(estimate.mean() - bound.mean()) < 0.1 * abs(bound.mean())


def test_what_diffusion_over_pictures_refuses():
    X, y = shown(60)
    with pytest.raises(DataError, match="number as target"):
        Diffusion(epochs=1).fit(X, np.linspace(0, 1, 60))
    model = MODELS["diffusion"]().fit(X, y)
    with pytest.raises(EvidenceError, match="not ranges"):
        model.sample(2, given={"x3": (0, 2)})
    with pytest.raises(DataError, match="log_ode is of complete rows"):
        model.log_ode(np.full((1, 4, 5), np.nan))
