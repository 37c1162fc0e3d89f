"""Circuits as files: a model that comes back, a fit that is killed and goes on, what a checkpoint refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.torch import save_file
from test_naive_bayes import table

import begat
from begat import Circuit
from begat.errors import DataError, FileError
from begat.estimators import structure, trials

HOW = {"units": 6, "epochs": 12, "random_state": 3}


@pytest.mark.parametrize("y", ["income", "price", None])
def test_a_model_comes_back_in_a_fresh_process(tmp_path, y):
    frame = table(400)
    model = Circuit(units=6, epochs=4).fit(frame, y)
    path, rows = tmp_path / "m.safetensors", tmp_path / "rows.parquet"
    model.save(path)
    frame.to_parquet(rows)
    script = f"""
        import begat, pandas as pd
        model, rows = begat.load({str(path)!r}), pd.read_parquet({str(rows)!r})
        pd.DataFrame({{"p": model.log_prob(rows)}}).to_parquet({str(tmp_path / "p.parquet")!r})
        model.sample(50, random_state=7).to_parquet({str(tmp_path / "s.parquet")!r})
        model.most_probable(rows).to_parquet({str(tmp_path / "m.parquet")!r})
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)
    assert (pd.read_parquet(tmp_path / "p.parquet")["p"] == model.log_prob(pd.read_parquet(rows))).all()
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "s.parquet"), model.sample(50, random_state=7))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "m.parquet"), model.most_probable(pd.read_parquet(rows)))
    again = begat.load(path)
    held = again._contains()
    assert held == model._contains() and held["number"] == 400 and "age" in held["edges"] and "job" in held["levels"]
    assert held["points"] == [str(n) for n, leaf in model.leaves_.items() if leaf == "kde"]
    assert again.structure_ == model.structure_ and again.history_ == model.history_


@pytest.mark.parametrize(
    ("family", "how", "file"),
    [
        ("Circuit", HOW, "circuit.6"),
        ("Autoregressive", {"width": 16, "epochs": 40, "batch": 32, "random_state": 3}, "autoregressive"),
        ("VAE", {"width": 32, "latent": 2, "epochs": 40, "batch": 32, "random_state": 3}, "vae"),
        ("Flow", {"width": 32, "transforms": 2, "epochs": 40, "batch": 32, "random_state": 3}, "flow"),
        ("Diffusion", {"width": 32, "depth": 1, "epochs": 40, "batch": 32, "random_state": 3}, "diffusion"),
        ("GAN", {"width": 32, "latent": 2, "epochs": 40, "batch": 32, "random_state": 3}, "gan"),
    ],
)
def test_a_fit_that_is_killed_goes_on_and_is_the_one_never_killed(tmp_path, family, how, file):
    """Killed at moments of its own choosing, again and again, bit for bit."""
    table(500).to_parquet(tmp_path / "rows.parquet")
    script = textwrap.dedent(
        f"""
        import pandas as pd, torch
        from begat import {family}
        torch.set_num_threads(1)
        rows = pd.read_parquet({str(tmp_path / "rows.parquet")!r})
        model = {family}(**{how!r}).fit(rows, "income", checkpoint={str(tmp_path / "kept")!r})
        p = model.log_prob(rows) if hasattr(model, "log_prob") else model.sample(400, random_state=0)["age"]
        pd.DataFrame({{"p": p}}).to_parquet({str(tmp_path / "p.parquet")!r})
        """
    )
    kept, draw = tmp_path / "kept" / f"{file}.safetensors", np.random.default_rng(0)
    deaths = 0
    for _ in range(2):
        before = kept.stat().st_mtime_ns if kept.exists() else 0
        run = subprocess.Popen([sys.executable, "-c", script])
        while run.poll() is None and not (kept.exists() and kept.stat().st_mtime_ns > before):
            time.sleep(0.002)  # until it has left something new
        time.sleep(float(draw.uniform(0, 0.05)))
        run.send_signal(signal.SIGKILL)
        deaths += run.wait() != 0
    assert deaths  # the machine was not so fast that every run was over
    subprocess.run([sys.executable, "-c", script], check=True)
    rows = pd.read_parquet(tmp_path / "rows.parquet")
    whole = subprocess.run(
        [sys.executable, "-c", script.replace("kept", "other").replace("p.parquet", "q.parquet")], check=True
    )
    assert whole.returncode == 0 and len(rows)
    a, b = (pd.read_parquet(tmp_path / f"{n}.parquet")["p"] for n in "pq")
    assert (a == b).all()


def test_a_checkpoint_refuses_another_recipe_other_rows_and_damage(tmp_path, monkeypatch):
    frame = table(200)
    with pytest.raises(DataError, match="give random_state a number"):
        Circuit(random_state=None).fit(frame, "income", checkpoint=tmp_path)
    Circuit(**HOW).fit(frame, "income", checkpoint=tmp_path)
    with pytest.raises(FileError, match="hyper-parameters are not these"):
        Circuit(**{**HOW, "hide": 0.2}).fit(frame, "income", checkpoint=tmp_path)
    with monkeypatch.context() as other, pytest.raises(FileError, match="hyper-parameters are not these"):
        other.setattr(trials, "pulled", lambda made, *_: replace(made, pull=structure.PULLS[1]))
        Circuit(**HOW).fit(frame, "income", checkpoint=tmp_path)
    with pytest.raises(FileError, match="these"):
        Circuit(**HOW).fit(frame, "price", checkpoint=tmp_path)
    with pytest.raises(FileError, match="these"):
        Circuit(**HOW).fit(frame, checkpoint=tmp_path)
    with pytest.raises(FileError, match="rows are not these"):
        Circuit(**HOW, schema=begat.codecs.infer.infer(frame, target="income")).fit(
            frame.assign(age=frame["age"].to_numpy()[::-1]), "income", checkpoint=tmp_path
        )
    place = tmp_path / "circuit.6.safetensors"
    with safe_open(place, framework="pt") as file:
        course = json.loads(file.metadata()["course"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for change in ({"step": "x"}, {"step": -5}, {"history": None}, {"best_score": "x"}):
        save_file(tensors, place, metadata={"course": json.dumps(course | change)})
        with pytest.raises(FileError, match="damaged"):
            Circuit(**HOW).fit(frame, "income", checkpoint=tmp_path)
    save_file(tensors, place, metadata={"course": json.dumps(course)})
    Circuit(**HOW).fit(frame, "income", checkpoint=tmp_path)
    data = bytearray(place.read_bytes())
    data[-5] ^= 1
    place.write_bytes(data)
    with pytest.raises(FileError, match="damaged"):
        Circuit(**HOW).fit(frame, "income", checkpoint=tmp_path)
    place.write_bytes(b"nothing of the kind")
    with pytest.raises(FileError, match="remove it to begin anew"):
        Circuit(**HOW).fit(frame, "income", checkpoint=tmp_path)
    with pytest.raises(FileError, match="is a file"):
        Circuit(**HOW).fit(frame, "income", checkpoint=place)


def test_equal_fits_are_equal_files(tmp_path):
    """Two runs in three tell a file whose entries are in an order of chance; eight all but surely."""
    model = Circuit(units=3, epochs=2).fit(table(100), "income")
    for i in range(8):
        model.save(tmp_path / f"{i}.safetensors")
    assert len({(tmp_path / f"{i}.safetensors").read_bytes() for i in range(8)}) == 1


def test_seconds_end_a_fit_that_can_go_on(tmp_path):
    frame = table(300)
    short = Circuit(**HOW, seconds=1e-6).fit(frame, "income", checkpoint=tmp_path)
    assert len(short.history_) == 1 and np.isfinite(short.log_prob(frame)).all()
    on = Circuit(**HOW).fit(frame, "income", checkpoint=tmp_path)
    whole = Circuit(**HOW).fit(frame, "income")
    assert len(on.history_) > 1 and os.listdir(tmp_path) == ["circuit.6.safetensors"]
    assert abs(on.score(frame) - whole.score(frame)) < 0.5
