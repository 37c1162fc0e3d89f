"""Other people's models of tables at their defaults, judged by begat.metrics: one line of JSON for each cell.

    taskset -c 1 python bench/peers.py [--data breast_cancer ...] [--peer TVAE ...] [--cells FILE]

Each family of peers has a virtual environment of its own, made when it is first needed (some gigabytes, below
build/peers unless --environments says otherwise). Cells that the file has are not measured again, so that a run that
was killed goes on where it was; delete a line to measure it anew. A peer that fails is a line with its reason. Fitting
is timed as processor time, on one thread; 1,500 s for fitting and sampling end a cell.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import venv
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from judging import judge, schema_of
from tables import TABLES, load

HERE = Path(__file__).parent
TORCH = "torch==2.13.0"  # its CPU build; an unpinned one brings gigabytes for a GPU
REQUIREMENTS = {
    "sdv": ("sdv==2.0.0", TORCH, "pyarrow"),
    "mostlyai": ("mostlyai-engine==2.7.3", TORCH, "pyarrow"),
    "flows": ("zuko==1.6.0", "nflows==0.14", TORCH, "numpy"),
    "pythae": ("pythae==0.1.2", TORCH, "numpy"),
    "diffusers": ("diffusers==0.35.2", TORCH, "numpy"),
    "arfpy": ("arfpy==0.1.1", "numpy<2", "pandas<3", "pyarrow==17.0.0"),  # it needs the types of these years
}
"""What each environment holds. A family that is not here runs in begat's own."""
PEERS = {
    "GaussianMixture": "sklearn",
    "GaussianCopula": "sdv",
    "TVAE": "sdv",
    "ARF": "arfpy",
    "TabularARGN": "mostlyai",
    "CTGAN": "sdv",
}
"""The family of each peer, the cheapest first."""


def python_of(family: str, environments: Path) -> str:
    """The interpreter that has the family installed; makes its environment the first time."""
    if family not in REQUIREMENTS:
        return sys.executable
    folder = environments / family
    python, stamp = str((folder / "bin" / "python").absolute()), folder / "installed"
    if not stamp.exists():
        pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        venv.create(folder, with_pip=True)
        subprocess.run([*pip, "install", *REQUIREMENTS[family]], check=True)
        # Those of the registry do not fit the CPU build, and break what merely finds them.
        subprocess.run([*pip, "uninstall", "--yes", "torchvision", "torchaudio"], check=True)
        stamp.touch()
    return python


def measured(data: str, peer: str, environments: Path) -> dict[str, object]:
    """Fit, sample and judge one peer on one table: version, fit_seconds and figures, or the reason for none."""
    train, held_out, target, task = load(data)
    rows = str(len(train) + len(held_out))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train.to_parquet(folder / "train.parquet")
        worker = str(HERE / "workers" / f"with_{PEERS[peer]}.py")
        command = [python_of(PEERS[peer], environments), worker, peer, str(folder / "train.parquet"), rows, name]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == -signal.SIGXCPU:
            return {"reason": "over 1500 s"}
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            return {"reason": said[-1].split(". ")[0]}
        fake = conformed(pd.read_parquet(folder / "rows.parquet"), train)
        fit = json.loads((folder / "fit.json").read_text())
    return fit | {"figures": judge(train, held_out, fake, schema_of(train, held_out, target, task))}


def conformed(fake: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    """The rows with the training columns, numbers rounded to their decimals: what any user would do, not the model."""
    out = fake[list(train.columns)].reset_index(drop=True)
    for name in train.select_dtypes("number"):
        known, made = train[name].dropna().to_numpy(float), pd.to_numeric(out[name], errors="coerce").astype(float)
        digits = next((k for k in range(9) if np.allclose(known, known.round(k), rtol=0, atol=1e-9)), None)
        out[name] = made if digits is None else made.round(digits)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--peer", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--cells", type=Path, default=HERE / "results" / "peers.jsonl")
    parser.add_argument("--environments", type=Path, default=HERE.parent / "build" / "peers")
    asked = parser.parse_args()
    asked.cells.parent.mkdir(parents=True, exist_ok=True)
    asked.cells.touch()
    lines = {(c["data"], c["peer"]): c for c in map(json.loads, asked.cells.read_text().splitlines())}
    for data in asked.data:
        for peer in asked.peer:
            if (data, peer) not in lines:
                cell: dict[str, object] = {"data": data, "peer": peer, "seed": 0, "date": date.today().isoformat()}
                try:
                    cell |= measured(data, peer, asked.environments)
                except Exception as error:
                    cell["reason"] = f"{type(error).__name__}: {error}"
                with asked.cells.open("a") as file:
                    file.write(json.dumps(cell) + "\n")
                lines[data, peer] = cell
            print(said(lines[data, peer]), flush=True)


def said(cell: dict) -> str:
    """One line for a person."""
    head = f"{cell['data']:14} {cell['peer']:16}"
    if "reason" in cell:
        return f"{head} {cell['reason']}"
    f = cell["figures"]
    return (
        f"{head} fit {cell['fit_seconds']:7.1f} s   "
        f"detection {f['detection_all']:.3f} (held-out {f['detection']:.3f})   "
        f"{f['utility_unit']} {f['utility']:.3f} of {f['utility_real']:.3f}   nearest {f['nearest_share']:.3f}   "
        f"copies {f['copied_share']:.3f} (own {f['copied_share_own']:.3f})"
    )


if __name__ == "__main__":
    main()
