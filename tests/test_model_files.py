"""Files of fitted models that somebody changed: refused in one line, or a model that answers; never anything else."""

import copy
import json
import random
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_naive_bayes import table

import begat
from begat import recipe
from begat.errors import BegatError, FileError
from begat.estimators.store import peek

ODD = [None, True, -1, 0, 3, 2**40, 10**15, 1.5, -1e300, "", "x", "inf", "Gaussian", [], [1], [-1], {}, {"x": 1}, [[]]]
MUTATIONS = 1500


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    frame = table(300)
    frame["near"] = (2.5 * frame["age"].fillna(30) + np.arange(300) % 3).round()
    fits = {
        "classes": begat.NaiveBayes().fit(frame, "income"),
        "number": begat.NaiveBayes(leaves={"age": "kde"}, alpha={"job": 0.5}).fit(frame, "price"),
        "density": begat.NaiveBayes().fit(frame),
        "circuit": begat.Circuit(units=3, epochs=2).fit(frame, "income"),
        "circuit of columns that lean": begat.Circuit(units=3, epochs=2, lean_on="age").fit(frame, "income"),
        "autoregressive": begat.Autoregressive(width=8, epochs=2).fit(frame, "income"),
        "autoregressive in any order": begat.Autoregressive(width=8, epochs=2, order="any").fit(frame, "price"),
    }
    fits["vae"] = begat.VAE(width=8, latent=2, epochs=2).fit(frame, "income")
    quick = {"width": 8, "transforms": 2, "bins": 3, "epochs": 2}
    fits["flow"] = begat.Flow(**quick).fit(frame, "income")
    fits["flow of affine maps"] = begat.Flow(**quick, maps="affine", structure="autoregressive").fit(frame, "price")
    fits["diffusion"] = begat.Diffusion(width=8, depth=1, epochs=2).fit(frame, "income")
    for name, model in fits.items():
        model.save(folder / f"{name}.safetensors")
    return folder, frame


def opened(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    outer = json.loads(data[8 : 8 + size])
    return outer, json.loads(outer["__metadata__"]["begat"]), data[8 + size :]


def closed(path, outer, header, body):
    text = json.dumps(header)
    outer = {**outer, "__metadata__": {"begat": text, "digest": recipe.digest(text)}}
    raw = json.dumps(outer).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + body)


def places(value, at=()):
    """Every path into a JSON value."""
    yield at
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*at, key))


def mutated(header, rng):
    made = copy.deepcopy(header)
    path = rng.choice([p for p in places(made) if p])
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    deed = rng.random()
    if deed < 0.2:
        del inner[path[-1]]
    elif deed < 0.3 and isinstance(inner, list):
        inner.append(copy.deepcopy(inner[path[-1]]))
    elif deed < 0.4 and isinstance(inner, dict):
        inner["surplus"] = rng.choice(ODD)
    else:
        inner[path[-1]] = copy.deepcopy(rng.choice(ODD))
    return made, path


def fuzz(folder, name, mutations=MUTATIONS // 3):
    """How many changed headers are refused; anything but a FileError or a model that answers is raised."""
    outer, header, body = opened(folder / f"{name}.safetensors")
    frame, path = table(3), folder / f"{name}-changed.safetensors"
    rng, refused = random.Random(0), 0
    for _ in range(mutations):
        changed, at = mutated(header, rng)
        closed(path, outer, changed, body)
        try:
            model = begat.load(path)
        except FileError as error:
            if "\n" in str(error):
                raise AssertionError(f"{at}: more than one line: {error}") from None
            refused += 1
            continue
        except Exception as error:
            raise AssertionError(f"{at}: {error!r}") from error
        try:
            model.sample(2, random_state=0)
            model.log_prob(frame)
        except BegatError:
            pass  # its schema does not take this table any more, and says so
        except Exception as error:
            raise AssertionError(f"{at}: loaded, then {error!r}") from error
    return refused


@pytest.mark.parametrize("name", ["classes", "number", "density"])
def test_a_changed_header_is_refused_or_still_a_model(files, name):
    """In a process of its own, where no checker of types stands between the file and the code."""
    script = f"import pathlib, test_model_files as t; print(t.fuzz(pathlib.Path({str(files[0])!r}), {name!r}))"
    run = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parent, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-1500:]
    assert int(run.stdout.split()[-1]) > 100


def test_the_unchanged_file_is_a_model(files, tmp_path):
    folder, frame = files
    path = folder / "classes.safetensors"
    closed(tmp_path / "m.safetensors", *opened(path))
    np.testing.assert_array_equal(
        begat.load(tmp_path / "m.safetensors").log_prob(frame), begat.load(path).log_prob(frame)
    )


def test_a_model_of_another_family_or_format(files, tmp_path):
    folder, _ = files
    outer, header, body = opened(folder / "classes.safetensors")
    for change, message in [
        ({"family": "NaiveBaye"}, "did you mean 'NaiveBayes'"),
        ({"format": 99}, "newer"),
        ({"params": {**header["params"], "allpha": 2}}, "did you mean 'alpha'"),
    ]:
        closed(tmp_path / "m.safetensors", outer, {**header, **change}, body)
        with pytest.raises(FileError, match=message):
            begat.load(tmp_path / "m.safetensors")


def test_a_file_says_what_it_holds_of_the_rows(tmp_path):
    """Levels of fewer than 5 rows, by name up to five; points, extremes, edges, codes by column; loaded files too."""
    rng = np.random.default_rng(0)
    n = 400
    town = np.array(["Bern", "Chur"] * (n // 2), dtype=object)
    town[:8] = ["A", "B", "B", "C", "C", "C", "D", "E"]
    town[8:12], town[12:18] = "F", "G"  # four rows, and six, which are not few
    town[-1] = None
    frame = pd.DataFrame(
        {
            "town": town,
            "x": rng.normal(size=n),
            "z": rng.normal(size=n),
            "gain": np.where(rng.random(n) < 0.7, 0.0, rng.lognormal(3, 1, n)),
            "kind": np.where(np.arange(n) < 3, "rare", "usual"),
        }
    )
    model = begat.NaiveBayes(leaves={"x": "kde", "z": "histogram"}).fit(frame, "kind")
    model.save(tmp_path / "m.safetensors")
    back = begat.load(tmp_path / "m.safetensors")
    back.save(tmp_path / "again.safetensors")
    for path in ("m", "again"):
        held = peek(tmp_path / f"{path}.safetensors")["rows"]
        assert held["rare"] == {
            "kind": {"count": 1, "names": ["rare"]},
            "town": {"count": 6, "names": ["A", "B", "C", "D", "E"]},
        }
        assert held["points"] == ["x"] and "z" in held["edges"] and held["codes"] == ["gain"]
        assert set(held["extremes"]) >= {"x", "z"} and held["number"] == n
    shown = subprocess.run(
        [sys.executable, "-m", "begat.cli.main", "info", str(tmp_path / "m.safetensors")],
        capture_output=True,
        text=True,
    )
    assert "levels of fewer than 5 rows: 1 of kind (rare), 6 of town (A, B, C, D, E)" in shown.stdout, shown
