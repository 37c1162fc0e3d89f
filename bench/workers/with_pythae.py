"""A VAE of pythae on pictures in rows: held-out bits a dimension by 50 weighted latents. Runs in its environment.

with_pythae.py FILE.npz LATENT WIDTH DEPTH EPOCHS -> seconds, and bits a dimension with its own decoder (deviation 1, of
pixels between 0 and 1) and with the one deviation that fits its training pictures best, on the levels of pixels
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from time import perf_counter

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import nn
from torch.nn.functional import silu

DRAWS = 50


class Blocks(nn.Module):
    """Residual blocks of two layers, as begat.nets.coder has them."""

    def __init__(self, inner: int, width: int, depth: int):
        super().__init__()
        self.enter = nn.Linear(inner, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(2 * depth))

    def forward(self, x):
        h = self.enter(x)
        for i in range(0, len(self.layers), 2):
            h = h + self.layers[i + 1](silu(self.layers[i](silu(h))))
        return silu(h)


class Encoder(BaseEncoder):
    def __init__(self, columns: int, latent: int, width: int, depth: int):
        super().__init__()
        self.blocks, self.latent_dim = Blocks(columns, width, depth), latent
        self.mean, self.log_variance = nn.Linear(width, latent), nn.Linear(width, latent)

    def forward(self, x):
        h = self.blocks(x.flatten(1))
        return ModelOutput(embedding=self.mean(h), log_covariance=self.log_variance(h))


class Decoder(BaseDecoder):
    def __init__(self, columns: int, latent: int, width: int, depth: int):
        super().__init__()
        self.blocks, self.leave = Blocks(latent, width, depth), nn.Linear(width, columns)

    def forward(self, z):
        return ModelOutput(reconstruction=torch.sigmoid(self.leave(self.blocks(z))))


@torch.no_grad()
def bits(model, x, levels: int, deviation: float | None) -> float:
    """Bits a dimension of these rows (n, D) in [0, 1], by the bound of DRAWS latents each; without a deviation that of
    the decoder as pythae has it."""
    said = model.encoder(x)
    mean, sigma = said.embedding, (0.5 * said.log_covariance).exp()
    noise = torch.randn(DRAWS, *mean.shape)
    z = mean + sigma * noise
    log_w = (-0.5 * z**2 + 0.5 * noise**2 + sigma.log()).sum(2)
    made = model.decoder(z.flatten(0, 1)).reconstruction.view(DRAWS, *x.shape)
    if deviation is None:  # a density of deviation 1, over a step between two levels
        log_p = -0.5 * (x - made) ** 2 - 0.5 * math.log(2 * math.pi) - math.log(levels - 1)
    else:
        grid = torch.linspace(0, 1, levels).view(-1, 1, 1, 1)
        all_levels = torch.cat([-0.5 * ((g - made[None]) / deviation) ** 2 for g in grid])
        log_p = -0.5 * ((x - made) / deviation) ** 2 - all_levels.view(levels, *made.shape).logsumexp(0)
    bound = torch.logsumexp(log_w + log_p.sum(2), 0) - math.log(DRAWS)
    return float(-bound.mean() / x.shape[1] / math.log(2))


def main() -> None:
    torch.set_num_threads(int(sys.argv[6]))
    file = np.load(sys.argv[1])
    latent, width, depth, epochs = map(int, sys.argv[2:6])
    levels, columns = int(file["levels"]), file["train"].shape[1]
    train, held = (torch.tensor(file[name] / (levels - 1), dtype=torch.float32) for name in ("train", "held"))
    torch.manual_seed(0)
    config = VAEConfig(input_dim=(columns,), latent_dim=latent)
    model = VAE(config, Encoder(columns, latent, width, depth), Decoder(columns, latent, width, depth))
    started = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        how = BaseTrainerConfig(
            output_dir=folder, num_epochs=epochs, learning_rate=1e-3, per_device_train_batch_size=64, no_cuda=True
        )
        rows = BaseDataset(train, torch.zeros(len(train)))
        BaseTrainer(model, train_dataset=rows, training_config=how).train()
    seconds = perf_counter() - started
    model.eval()
    deviations = np.geomspace(0.03, 1, 30)
    best = min(deviations, key=lambda s: bits(model, train[:300], levels, float(s)))
    found = bits(model, held, levels, None), bits(model, held, levels, float(best))
    print(json.dumps([seconds, *found]))


if __name__ == "__main__":
    main()
