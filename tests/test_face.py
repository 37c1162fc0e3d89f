"""What `import begat` offers, and what it does not load."""

from __future__ import annotations

import subprocess
import sys

import pytest

import begat

HEAVY = ("torch", "numpy", "pandas", "pyarrow", "sklearn", "scipy", "matplotlib", "polars", "rich", "typer")


def modules_after(code: str) -> set[str]:
    """The top-level modules that a fresh Python has loaded after this code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*{{m.split('.')[0] for m in sys.modules}})"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_import_loads_nothing_heavy():
    assert not modules_after("import begat; begat.__version__; dir(begat)") & set(HEAVY)


def test_schema_and_likelihood_need_neither_frames_nor_scikit_learn():
    loaded = modules_after("from begat import Schema, Likelihood")
    assert not loaded & {"pandas", "pyarrow", "sklearn", "scipy", "matplotlib", "polars"}


def test_the_estimators_wait_with_plots_and_other_peoples_frames():
    assert not modules_after("from begat import NaiveBayes") & {"matplotlib", "polars"}  # scikit-learn brings pandas


@pytest.mark.parametrize("name", begat.__all__)
def test_every_public_name_is_there_and_stays(name):
    assert getattr(begat, name) is getattr(begat, name)
    assert name in dir(begat)


def test_a_function_keeps_its_name_whatever_was_imported_before():
    modules_after("import begat.compare\nfrom begat import compare, learning_curve\nassert callable(compare)")
    modules_after("from begat.compare import Report\nimport begat\nassert callable(begat.compare)")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'NaiveBaies'"):
        _ = begat.NaiveBaies
