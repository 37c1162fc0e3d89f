"""Every example runs, quickly, and leaves a picture that is not empty."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = sorted(p.stem for p in EXAMPLES.glob("*.py") if p.stem != "canvas")


@pytest.mark.parametrize("name", NAMES)
def test_an_example_draws(tmp_path, name):
    out = tmp_path / f"{name}.png"
    subprocess.run([sys.executable, EXAMPLES / f"{name}.py", "--quick", "--out", out], check=True, timeout=300)
    from matplotlib.image import imread

    picture = imread(out)
    assert min(picture.shape[:2]) > 300 and picture[..., :3].std() > 0.02


def test_every_example_is_shown():
    shown = (EXAMPLES.parent / "docs" / "examples.md").read_text()
    assert NAMES and all(f"images/examples/{name}.png" in shown for name in NAMES)
