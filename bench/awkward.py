"""Circuits on four awkward tables, each in a process of its own: seconds, peak memory, likelihood against the floor.

python bench/awkward.py [NAME ...]
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from time import perf_counter

import numpy as np
import pandas as pd

from begat import Circuit, NaiveBayes


def gaps() -> pd.DataFrame:
    """20,000 rows of 80 columns, numbers and levels of five hidden groups, a third of them with 90% of gaps."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 5, 20_000)
    columns: dict[str, object] = {}
    for j in range(80):
        if j % 2:
            cells = (rng.normal(size=5)[group] * 2 + rng.normal(size=len(group))).round(2)
        else:
            cells = np.array(list("abcdef"))[(rng.integers(0, 6, 5)[group] + (rng.random(len(group)) < 0.4)) % 6]
        column = pd.Series(cells, dtype=object if j % 2 == 0 else float)
        columns[f"c{j}"] = column.mask(rng.random(len(group)) < 0.9) if j % 3 == 0 else column
    return pd.DataFrame(columns)


def levels() -> pd.DataFrame:
    """250,000 rows, a column of 5,000 levels that says most of three others."""
    rng = np.random.default_rng(0)
    code = np.minimum((5_000 * rng.random(250_000) ** 2).astype(int), 4_999)
    area = code // 250
    return pd.DataFrame(
        {
            "code": np.char.add("c", code.astype(str)).astype(object),
            "area": np.char.add("a", np.where(rng.random(len(code)) < 0.9, area, 0).astype(str)).astype(object),
            "price": (100 + 5 * area + rng.normal(0, 10, len(code))).round(1),
            "kind": np.array(["x", "y", "z"], dtype=object)[(code + (rng.random(len(code)) < 0.2)) % 3],
        }
    )


def few() -> pd.DataFrame:
    """300 rows to learn from (of 600) of six columns."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=600)
    return pd.DataFrame(
        {
            "a": x.round(2), "b": (x + rng.normal(size=600)).round(2), "c": np.where(x > 0.5, "hi", "lo"),
            "d": rng.integers(0, 9, 600), "e": rng.choice(list("pqr"), 600),
            "f": (x**2 + rng.normal(size=600)).round(1),
        }
    )  # fmt: skip


def noise() -> pd.DataFrame:
    """10,000 rows of 200 columns of noise."""
    return pd.DataFrame(np.random.default_rng(0).normal(size=(10_000, 200))).rename(columns="n{}".format)


AWKWARD: dict[str, Callable[[], pd.DataFrame]] = {"gaps": gaps, "levels": levels, "few": few, "noise": noise}


def measured(name: str) -> dict[str, object]:
    """One table in this process."""
    frame = AWKWARD[name]()
    held = frame.sample(frac=0.5 if name == "few" else 0.2, random_state=0)
    train = frame.drop(index=held.index).reset_index(drop=True)
    started = perf_counter()
    model = Circuit().fit(train)
    seconds = perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    floor = NaiveBayes(task="density", schema=model.schema_).fit(train)
    gap = model.log_prob(held) - floor.log_prob(held)
    drawn = model.sample(1_000, random_state=0)
    return {
        "table": name, "rows": len(train), "columns": frame.shape[1], "fit_seconds": round(seconds, 1),
        "peak_GB": round(peak, 2), "nats_over_floor": round(float(gap.mean()), 3),
        "stderr": round(float(gap.std() / len(gap) ** 0.5), 3), "finite": bool(np.isfinite(gap).all()),
        "sampled": len(drawn),
    }  # fmt: skip


def main() -> None:
    """Each table in a process of its own, so that its peak is its own."""
    if sys.argv[1:2] == ["--here"]:
        print(json.dumps(measured(sys.argv[2])))
        return
    for name in sys.argv[1:] or AWKWARD:
        subprocess.run([sys.executable, __file__, "--here", name], check=True)


if __name__ == "__main__":
    main()
