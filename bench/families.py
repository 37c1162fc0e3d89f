"""Families on five tables: detection, utility, copying, likelihood, seconds; one line a cell, appended.

    python bench/families.py [--family circuit] [--data adult diamonds] [--seeds 0 1 2] [--cells FILE]

Cells that are in the file already are skipped, so that a run which was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
from datetime import date
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from judging import judge, schema_of
from tables import TABLES, load

from begat import GAN, VAE, Autoencoder, Autoregressive, Circuit, Diffusion, Flow, NaiveBayes
from begat.metrics.classification import area, calibration_error

DRAWS = 4
"""Times that as many rows are drawn as there are real ones; the first of them for detection, all for the rest."""
RESULTS = Path(__file__).parent / "results"
FAMILIES = {
    "circuit": Circuit,
    "autoregressive": Autoregressive,
    "flow": Flow,
    "diffusion": Diffusion,
    "vae": VAE,
    "gan": GAN,
    "autoencoder": Autoencoder,
    "any-order": lambda **how: Autoregressive(order="any", **how),
}
COMPLETED = 5_000
"""Rows whose gaps are filled: by families that weigh draws, not many a second."""


def main() -> None:
    """Measure what is not there yet, and print every cell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", default="circuit", choices=list(FAMILIES))
    parser.add_argument("--data", nargs="*", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--cells", type=Path)
    wanted = parser.parse_args()
    cells = wanted.cells or RESULTS / f"{wanted.family}.jsonl"
    cells.parent.mkdir(parents=True, exist_ok=True)
    known = [json.loads(line) for line in cells.read_text().splitlines()] if cells.exists() else []
    for name in wanted.data:
        for seed in wanted.seeds:
            asked = (wanted.family, name, seed)
            cell = next((c for c in known if (c.get("family", "circuit"), c["data"], c["seed"]) == asked), None)
            if cell is None:
                cell = measured(wanted.family, name, seed)
                with cells.open("a") as file:
                    file.write(json.dumps(cell) + "\n")
            print(said(cell), flush=True)


def measured(family: str, name: str, seed: int) -> dict[str, object]:
    """One table, one seed."""
    train, held, target, task = load(name)
    schema = schema_of(train, held, target, task)
    started = perf_counter()
    model = FAMILIES[family](schema=schema, random_state=seed).fit(train, target)
    cell: dict[str, object] = {"family": family, "data": name, "seed": seed, "date": date.today().isoformat()}
    cell |= {"fit_seconds": round(perf_counter() - started, 1), "units": getattr(model, "units_", None)}
    if hasattr(model, "log_prob"):
        floor = NaiveBayes(task="density", schema=schema).fit(train)
        mixture = Circuit(schema=schema, shape="mixture", random_state=seed).fit(train, target)
        whole = {"log_likelihood": model, "mixture": mixture, "floor": floor}
        cell |= {name: round(float(each.log_prob(held).mean()), 3) for name, each in whole.items()}
    if task == "classification" and hasattr(model, "predict_proba"):
        p, truth = model.predict_proba(held.drop(columns=target)), np.searchsorted(model.classes_, held[target])
        cell |= {"auc": round(area(truth, p).value or 0, 4), "ece": round(calibration_error(truth, p).value or 0, 4)}
    cell |= rates(model, held)
    fake, *more = (model.sample(len(train) + len(held), random_state=seed + 100 * draw) for draw in range(DRAWS))
    return cell | {"draws": DRAWS, "figures": judge(train, held, fake, schema, more)}


def rates(model: Any, held: pd.DataFrame) -> dict[str, int]:
    """Rows a second, the median of three: drawn, scored, and completed where every row has its own gaps."""
    rows = pd.concat([held] * (20_000 // len(held) + 1), ignore_index=True)[:20_000]
    gaps = rows.mask(np.random.default_rng(0).random(rows.shape) < 0.3).astype(rows.dtypes, errors="ignore")
    most = len(gaps) if isinstance(model, Circuit) else COMPLETED
    asks = {"drawn": (lambda: model.sample(100_000, random_state=0), 100_000)}
    if hasattr(model, "log_prob"):
        asks["scored"] = (lambda: model.log_prob(rows), len(rows))
    if hasattr(model, "impute"):
        asks["completed"] = (lambda: model.impute(gaps[:most], random_state=0), most)
    out = {}
    for what, (ask, n) in asks.items():
        ask()
        seconds = []
        for _ in range(3):
            started = perf_counter()
            ask()
            seconds.append(perf_counter() - started)
        out[f"{what}_per_second"] = round(n / median(seconds))
    return out


def said(cell: dict[str, object]) -> str:
    """A cell in one line."""
    f: dict = cell["figures"]  # type: ignore[assignment]
    return (
        f"{cell['data']:14} seed {cell['seed']}  fit {cell['fit_seconds']:5.1f} s  detection {f['detection_all']:.3f}"
        f" / {f['detection']:.3f}  utility {f['utility_ratio']:.3f}  nearest {f['nearest_share']:.3f} +-"
        f" {f['nearest_share_stderr']:.3f}  copies {f['copied_share']:.4f} (own {f['copied_share_own']:.4f})  "
        f"nats {cell.get('log_likelihood')} (mixture {cell.get('mixture')}, floor {cell.get('floor')})"
    )


if __name__ == "__main__":
    main()
