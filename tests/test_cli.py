"""The command line: each verb once, each public error once and in one line, nothing heavy for a help text."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer

import begat
from begat.cli import evidence, options
from begat.cli.main import app, run
from begat.codecs.image_write import write_pictures
from begat.compare import recogniser
from begat.errors import BegatError, EvidenceError
from begat.schema import Column, Grid, Schema

VERBS = [command.name for command in app.registered_commands]
ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "numpy", "pandas", "pyarrow", "sklearn", "scipy", "matplotlib", "polars"}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "penguins.safetensors"
    assert run(["fit", "penguins", "--target", "species", "--out", str(path)]) == 0
    return path


def asked(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command."""
    capsys.readouterr()
    code = run([str(a) for a in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def as_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    code, out, err = asked(capsys, *arguments, "--json")
    assert code == 0, err
    return json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


# help -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb, capsys):
    code, out, _ = asked(capsys, verb, "--help")
    assert code == 0
    assert f"Example:\n    begat {verb} " in out
    assert f"  {verb} " in asked(capsys, "--help")[1]


def test_every_example_runs_as_it_stands(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quick = {"compare": ["--model", "naive Bayes"], "learning-curve": ["--size", 30, "--size", 100, "--repeats", 2]}
    for verb in ["fit", *VERBS]:  # the others ask the model that the example of fit writes
        example = asked(capsys, verb, "--help")[1].split("Example:")[1].strip().splitlines()[0]
        code, _, err = asked(capsys, *shlex.split(example)[1:], *quick.get(verb, ()))
        assert code == 0, err


def blocks(language: str) -> list[str]:
    """The code of a language in the README and in the documents."""
    files = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    found = [re.findall(r"```(\w*)\n(.*?)```", f.read_text(encoding="utf-8"), re.DOTALL) for f in files]
    return [code for each in found for said, code in each if said == language]


def test_every_command_of_the_documents_is_one():
    """Verbs, options and files are those that the command line knows; a comment follows a #."""
    group, seen = typer.main.get_command(app), set()
    for line in "\n".join(blocks("")).splitlines():
        if line.startswith("begat "):
            words = shlex.split(line, comments=True)[1:]
            context = group.make_context("begat", words)
            name, verb, rest = group.resolve_command(context, words)
            verb.make_context(name, rest, parent=context)
            seen.add(name)
    assert seen == set(VERBS)


def test_the_python_of_the_documents_runs_as_it_stands(tmp_path, monkeypatch):
    """On the first 400 rows of the table that it names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(begat, "read", partial(begat.read, rows=400))
    assert blocks("python")
    for block in blocks("python"):
        exec(block, {})


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["fit", "--help"], ["sample"], []])
def test_help_and_usage_load_nothing_heavy(arguments):
    code = f"from begat.cli.main import run\nrun({arguments!r})\nimport sys\nprint('LOADED', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split("LOADED")[1].split())


def test_version(capsys):
    assert asked(capsys, "--version")[1] == f"begat {begat.__version__}\n"


# verbs ------------------------------------------------------------------------------------------------------------
def test_fit_says_what_it_learnt(tmp_path, capsys):
    path = tmp_path / "m.safetensors"
    facts = as_json(capsys, "fit", "penguins", "--target", "species", "--set", "leaves=gaussian", "--out", path)
    assert facts["rows"] == 344
    assert facts["classes"] == ["Adelie", "Chinstrap", "Gentoo"]
    assert facts["bytes"] == path.stat().st_size
    assert begat.load(path).get_params()["leaves"] == "gaussian"


def test_a_fit_that_is_streamed_equals_one_in_memory(tmp_path, capsys):
    rows = tmp_path / "rows.parquet"
    assert run(["data", "penguins", "--out", str(rows)]) == 0
    for name, extra in (("whole", []), ("pieces", ["--stream"])):
        path = tmp_path / f"{name}.safetensors"
        assert (
            run(["fit", str(rows), "--target", "species", "--set", "leaves=gaussian", "--out", str(path), *extra]) == 0
        )
    table = begat.read(rows)
    whole, pieces = (begat.load(tmp_path / f"{n}.safetensors") for n in ("whole", "pieces"))
    assert whole.schema_.digest() == pieces.schema_.digest()
    assert abs(whole.log_prob(table.frame) - pieces.log_prob(table.frame)).max() < 1e-9


def test_samples_obey_evidence_and_seed(model, tmp_path, capsys):
    asks = ["sample", model, "-n", 40, "--seed", 3, "--given", "species=Gentoo", "--given", "body_mass_g=4000..5000"]
    first, second = asked(capsys, *asks)[1], asked(capsys, *asks)[1]
    assert first == second
    assert asked(capsys, *asks, "--out", tmp_path / "rows.csv")[0] == 0
    rows = pd.read_csv(tmp_path / "rows.csv")
    assert list(rows.columns) == list(begat.load(model).schema_.names)
    assert set(rows.species) == {"Gentoo"}
    assert rows.body_mass_g.between(4000, 5000).all()
    assert asked(capsys, *asks[:4], "--seed", 4)[1] != asked(capsys, *asks[:4], "--seed", 5)[1]


def test_score_is_the_mean_of_log_prob(model, tmp_path, capsys):
    table = begat.read("penguins")
    each = begat.load(model).log_prob(table.frame)
    facts = as_json(capsys, "score", model, "penguins", "--odd", 3, "--out", tmp_path / "cells.parquet")
    assert facts["log_likelihood"] == pytest.approx(each.mean(), abs=1e-12)
    assert facts["stderr"] == pytest.approx(each.std(ddof=1) / len(each) ** 0.5)
    assert [o["row"] for o in facts["odd"]] == each.argsort(kind="stable")[:3].tolist()
    assert pd.read_parquet(tmp_path / "cells.parquet").shape == (344, 1 + len(table.schema))
    assert "nats per row over 344 rows" in asked(capsys, "score", model, "penguins")[1]


def test_predict_writes_classes_and_probabilities(model, tmp_path, capsys):
    code, _, err = asked(capsys, "predict", model, "penguins", "--proba", "--out", tmp_path / "p.parquet")
    assert code == 0
    assert "of 344 rows with a known species are predicted right; their commonest class is 44.2% of them. " in err
    made = pd.read_parquet(tmp_path / "p.parquet")
    fitted = begat.load(model)
    assert list(made.species) == list(fitted.predict(begat.read("penguins").frame))
    assert abs(made.filter(like="P(").sum(axis=1) - 1).max() < 1e-9


def test_impute_fills_every_gap_and_keeps_the_rest(model, tmp_path, capsys):
    out = tmp_path / "filled.parquet"
    code, _, err = asked(capsys, "impute", model, "penguins", "--draws", 2, "--seed", 0, "--out", out)
    assert (code, err) == (0, "Filled 19 cells in 344 rows.\n")
    before, after = begat.read("penguins").frame, pd.read_parquet(out)
    assert list(after.draw) == [1] * 344 + [2] * 344
    assert not after.isna().any().any()
    known = before.bill_length_mm.notna().to_numpy()
    for draw in (1, 2):
        filled = after[after.draw == draw].bill_length_mm.to_numpy()
        assert (filled[known] == before.bill_length_mm.to_numpy()[known]).all()


def test_info_writes_a_schema_that_comes_back(tmp_path, capsys):
    file = tmp_path / "penguins.schema.json"
    code, out, _ = asked(capsys, "info", "penguins", "--target", "species", "--kind", "year=category", "--out", file)
    assert code == 0
    assert all(str(column) in out for column in begat.read("penguins").frame.columns)
    assert Schema.load(file)["year"].kind == "category"
    facts = as_json(capsys, "info", "penguins", "--schema", file)
    assert Schema.from_dict(facts["schema"]).digest() == Schema.load(file).digest()


def test_info_of_a_model_shows_recipe_schema_and_likelihood(model, capsys):
    out = asked(capsys, "info", model)[1]
    assert "Circuit, written by begat" in out
    assert "nats per row" in out
    assert "target: species" in out
    assert "bill_length_mm" in out
    assert as_json(capsys, "info", model)["family"] == "Circuit"


def test_data_lists_and_writes(tmp_path, capsys):
    listed = {e["name"]: e for e in as_json(capsys, "data")}
    assert listed["adult"]["here"] and listed["adult"]["licence"] == "CC BY 4.0"
    assert all(e["here"] or e["how"] for e in listed.values())
    assert asked(capsys, "data", "penguins", "--out", tmp_path / "p.csv")[0] == 0
    assert len(begat.read(tmp_path / "p.csv")) == 344
    assert "penguins" in asked(capsys, "data")[1]


def test_learning_curve(tmp_path, capsys):
    picture = tmp_path / "curve.png"
    asks = ["learning-curve", "penguins", "--target", "species", "--size", 30, "--size", 100, "--repeats", 2]
    facts = as_json(capsys, *asks, "--out", picture)
    assert facts["sizes"] == [30, 100]
    assert picture.stat().st_size > 0
    assert "accuracy:" in asked(capsys, *asks)[1]


def test_compare(tmp_path, capsys):
    folder = tmp_path / "report"
    code, out, err = asked(
        capsys, "compare", "penguins", "--target", "species", "--model", "naive Bayes", "--out", folder
    )
    assert code == 0, err
    assert "independent columns" in out and "real rows" in out
    facts = json.loads((folder / "results.json").read_text())
    assert {"naive Bayes", "independent columns", "real rows"} <= {m["name"] for m in facts["models"]}
    assert begat.load(folder / "naive-bayes.safetensors").schema_.target == "species"
    assert "time: about" in err


# a file that is not quite the training file -------------------------------------------------------------------------
@pytest.fixture(scope="module")
def orders(tmp_path_factory) -> tuple[Path, Path]:
    """A model of penguins that have numbers and notes, and their file without the missing values' rows."""
    folder = tmp_path_factory.mktemp("orders")
    frame = begat.read("penguins").frame
    frame.insert(0, "Order ID", [f"{i:05d}" for i in range(len(frame))])
    frame.insert(1, "note", [f"the bird number {i} is well" if i % 3 else "" for i in range(len(frame))])
    frame["caught"] = pd.date_range("2008-01-01", periods=len(frame), freq="9137s").strftime("%d.%m.%Y %H:%M:%S")
    frame.to_csv(folder / "orders.csv", index=False, sep=";", decimal=",")
    model = folder / "orders.safetensors"
    assert run(["fit", str(folder / "orders.csv"), "--target", "species", "--out", str(model)]) == 0
    assert begat.load(model).schema_.unscored == ("Order ID", "note")
    return model, folder / "orders.csv"


@pytest.mark.parametrize("verb", ["predict", "score", "impute"])
def test_only_scored_features_are_needed(verb, orders, tmp_path, capsys):
    model, file = orders
    words = pd.read_csv(file, sep=";", dtype=str, keep_default_na=False)
    alone, fewer = tmp_path / "alone.csv", tmp_path / "fewer.csv"
    words.drop(columns=["Order ID", "note", "species"]).assign(other="x").to_csv(alone, index=False, sep=";")
    assert asked(capsys, verb, model, alone)[0] == 0
    words.rename(columns={"island": "islands"}).to_csv(fewer, index=False, sep=";")
    code, out, err = asked(capsys, verb, model, fewer)
    assert (code, out) == (2, "")
    assert "lacks the column 'island', which the model needs (did you mean 'islands'?)" in err


def test_score_without_the_target_says_so(orders, tmp_path, capsys):
    model, file = orders
    rows = begat.read(file).frame.drop(columns="species")
    rows.to_parquet(tmp_path / "rows.parquet")
    facts = as_json(capsys, "score", model, tmp_path / "rows.parquet")
    assert facts["without_target"] is True
    assert facts["log_likelihood"] == pytest.approx(begat.load(model).log_prob(rows).mean())
    assert "without species" in asked(capsys, "score", model, tmp_path / "rows.parquet")[1]
    assert as_json(capsys, "score", model, file)["without_target"] is False


def test_the_odd_cell_is_odd_for_its_column(orders, capsys):
    model, file = orders
    facts = as_json(capsys, "score", model, file, "--odd", 20)["odd"]
    surprise = begat.load(model).surprise(begat.read(file).frame)
    assert surprise.caught.median() > surprise.bill_length_mm.median() + 2  # seconds always surprise by more
    words = pd.read_csv(file, sep=";", dtype=str, keep_default_na=False)
    beyond = surprise - surprise.median()
    for cell in facts:
        row = cell["row"]
        assert cell["column"] == beyond.loc[row].idxmax()
        assert cell["value"] == words.loc[row, cell["column"]]
        assert cell["surprise"] == pytest.approx(surprise.loc[row, cell["column"]])
        assert cell["usual_surprise"] == pytest.approx(surprise[cell["column"]].median())
    assert len({cell["column"] for cell in facts}) > 1
    assert "Rows count from 0, the header not among them." in asked(capsys, "score", model, file, "--odd", 1)[1]


@pytest.mark.parametrize("text", ['a,b\n1,"x\n2,y\n', "a,b\n1,2\n3\n"], ids=["open quote", "ragged"])
def test_a_table_that_breaks_off_ends_with_a_refusal_and_no_signal(text, tmp_path):
    """Arrow reads ahead in a thread; a process that ended under it did so by SIGABRT in half of the runs."""
    path = tmp_path / "broken.csv"
    path.write_text(text)
    for _ in range(6):
        command = [sys.executable, "-m", "begat.cli.main", "info", str(path)]
        run = subprocess.run(command, capture_output=True, text=True)
        assert run.returncode == 2 and run.stderr.startswith("begat: ") and run.stderr.count("\n") == 1


def test_a_column_of_which_no_cell_is_known_is_never_odd(tmp_path, capsys):
    rows, model = tmp_path / "rows.csv", tmp_path / "m.safetensors"
    pd.DataFrame({"a": range(30), "gone": "", "y": ["p", "q", "q"] * 10}).to_csv(rows, index=False)
    fit = ["fit", rows, "--target", "y", "--kind", "a=count", "--set", "missing=unknown", "--out", model]
    assert asked(capsys, *fit)[0] == 0
    code, out, err = asked(capsys, "score", model, rows, "--odd", 30)
    assert (code, err) == (0, "") and "gone" not in out


def test_impute_says_which_columns_keep_their_gaps(orders, tmp_path, capsys):
    model, file = orders
    out = tmp_path / "filled.csv"
    code, _, err = asked(capsys, "impute", model, file, "--seed", 0, "--separator", ";", "--out", out)
    assert code == 0
    assert err == (
        "Filled 19 cells in 344 rows.\nStill missing, in columns that the model does not score: note (115 cells).\n"
    )
    before, after = (pd.read_csv(f, sep=";", dtype=str, keep_default_na=False) for f in (file, out))
    known = (before != "").to_numpy()
    assert (before.to_numpy() == after.to_numpy())[known].all()
    assert (after.drop(columns="note") != "").all().all()
    assert "stay as they are" in asked(capsys, "impute", "--help")[1]


@pytest.mark.parametrize("verb", ["sample", "predict", "impute", "score"])
@pytest.mark.parametrize(("mark", "read"), [(";", ";"), ("tab", "\t")])
def test_rows_are_written_with_the_separator_asked_for(verb, mark, read, model, tmp_path, capsys):
    for ending in (".csv", ".csv.gz"):
        out = tmp_path / f"rows{ending}"
        table = [] if verb == "sample" else ["penguins"]
        assert asked(capsys, verb, model, *table, "--separator", mark, "--out", out)[0] == 0
        made = pd.read_csv(out, sep=read)
        assert len(made.columns) > 1 or verb == "predict"
        assert not any(name.count(c) for name in made.columns for c in ",;\t")


def test_a_numeric_target_is_judged_by_its_error(tmp_path, capsys):
    path = tmp_path / "m.safetensors"
    code, _, err = asked(capsys, "fit", "penguins", "--target", "flipper_length_mm", "--out", path)
    assert (code, err) == (0, "note: left out: 2 rows without flipper_length_mm\n")
    judged = as_json(capsys, "predict", path, "penguins")["judged"]
    frame = begat.read("penguins").frame.dropna(subset="flipper_length_mm")
    off = frame.flipper_length_mm - begat.load(path).predict(frame)
    assert judged["rows"] == len(off) == 342
    assert judged["mean_absolute_error"] == pytest.approx(off.abs().mean())
    assert judged["r2"] == pytest.approx(1 - off.pow(2).mean() / frame.flipper_length_mm.var(ddof=0))
    assert f"R2 {judged['r2']:.4f}, mean absolute error" in asked(capsys, "predict", path, "penguins")[2]
    code, out, err = asked(capsys, "predict", path, "penguins", "--proba")
    assert (code, out) == (2, "")
    assert err == (
        "begat: --proba: the target 'flipper_length_mm' is a number, which has no classes; leave --proba out\n"
    )


def test_a_verb_that_a_model_lacks_is_a_mistake_of_a_person():
    fitted = begat.NaiveBayes().fit(begat.read("penguins").frame.dropna(), "body_mass_g")
    assert not hasattr(fitted, "predict_proba")
    with pytest.raises(BegatError, match="target is a number"):
        _ = fitted.predict_proba


def test_whole_number_classes_with_a_gap_are_compared_as_numbers(tmp_path, capsys):
    rows, model = tmp_path / "rows.csv", tmp_path / "m.safetensors"
    rows.write_text("x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(40)) + "3,\n")
    assert run(["fit", str(rows), "--target", "y", "--kind", "y=category", "--out", str(model)]) == 0
    judged = as_json(capsys, "predict", model, rows)["judged"]
    truth = [i % 2 for i in range(40)]
    guess = begat.load(model).predict(pd.DataFrame({"x": range(40)}))
    assert judged == {"rows": 40, "right": (guess == truth).mean(), "commonest_class": 0.5}


@pytest.mark.parametrize("verb", ["predict", "score", "impute"])
def test_unseen_levels_are_an_error_or_unknown(verb, model, tmp_path, capsys):
    rows = tmp_path / "rows.csv"
    begat.read("penguins").frame.replace({"island": {"Dream": "Atlantis"}}).to_csv(rows, index=False)
    code, _, err = asked(capsys, verb, model, rows)
    assert code == 2 and "Atlantis" in err
    assert asked(capsys, verb, model, rows, "--unseen", "unknown")[0] == 0


NAMES = ("species", "island", "bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "sex", "year")


# mistakes ---------------------------------------------------------------------------------------------------------
MISTAKES = {
    "nothing as data": (["info", ""], "an argument is empty"),
    "nothing as data to fit": (["fit", "", "--out", "m.safetensors"], "an argument is empty"),
    "nothing as a model": (["sample", ""], "an argument is empty"),
    "nothing as out": (["sample", "{model}", "--out", ""], "an argument is empty"),
    "nothing after =": (["info", "penguins", "--schema="], "an argument is empty"),
    "link to nothing": (["info", "{folder}/link.csv"], "link.csv is a link to gone.csv, which cannot be found"),
    "link to nothing, scored": (["score", "{model}", "{folder}/link.csv"], "is a link to gone.csv"),
    "link to nothing, streamed": (["fit", "{folder}/link.csv", "--stream", "--out", "m.safetensors"], "is a link to"),
    "link to itself": (["info", "{folder}/loop.csv"], "loop.csv is a link to loop.csv, which cannot be found"),
    "link to no model": (["sample", "{folder}/link.safetensors"], "is a link to"),
    "folder without tables": (["info", "{folder}/a.csv"], "holds no .parquet file"),
    "folder without tables, streamed": (["fit", "{folder}/a.csv", "--stream", "--out", "m.safetensors"], "no .parquet"),
    "file as a folder for rows": (["sample", "{model}", "--out", "{csv}/rows.csv"], "rows.csv"),
    "file as a folder for a model": (["fit", "penguins", "--out", "{csv}/m.safetensors"], "is a file, no folder"),
    "file as a folder of a report": (["compare", "penguins", "--target", "sex", "--out", "{csv}/x"], "is a file"),
    "table as a schema": (["info", "penguins", "--out", "{csv}"], "name it rows.schema.json"),
    "query of a file": (["info", "{csv}", "--query", "select 1"], "--query is for a database"),
    "digits without end": (["fit", "penguins", "--set", "alpha=" + "1" * 5000, "--out", "m.safetensors"], "alpha is"),
    "depth without end": (["fit", "penguins", "--set", "alpha=" + "[" * 99_999, "--out", "m.safetensors"], "alpha is"),
    "word for a switch": (
        ["fit", "penguins", "--family", "naive-bayes", "--set", "shared_variance=no", "--out", "m.safetensors"],
        "True or False",
    ),
    "words as priors": (
        [
            "fit",
            "penguins",
            "--family",
            "naive-bayes",
            "--target",
            "species",
            "--set",
            'priors=["a","b","c"]',
            "--out",
            "m.safetensors",
        ],
        "priors is ['a', 'b', 'c']",
    ),
    "identifier as target": (
        ["fit", "penguins", "--target", "year", "--kind", "year=identifier", "--out", "m.safetensors"],
        "the target 'year' is identifier",
    ),
    "nothing to learn": (
        ["fit", "penguins", *(w for c in NAMES for w in ("--kind", f"{c}=text")), "--out", "m.safetensors"],
        "nothing to learn: species is text, ",
    ),
    "every column dropped": (["info", "{csv}", "--drop", "a", "--drop", "b"], "--drop names every column of"),
    "every column dropped, streamed": (
        ["fit", "{csv}", "--drop", "a", "--drop", "b", "--stream", "--out", "m.safetensors"],
        "--drop names every column of",
    ),
    "target as group": (["compare", "penguins", "--target", "sex", "--group", "sex"], "is the target and the group"),
    "no group": (["compare", "penguins", "--target", "sex", "--group", "sexx"], "to group by (did you mean 'sex'?)"),
    "seed too large": (["compare", "penguins", "--seed", str(2**32)], "seed is 4294967296"),
    "seed too large for a curve": (
        ["learning-curve", "penguins", "--target", "species", "--seed", str(2**32)],
        "from 0 to 2^32 - 1",
    ),
    "seed too large for a model": (["sample", "{model}", "--seed", str(2**63)], "random_state is"),
    "draws without end": (["impute", "{model}", "penguins", "--draws", "1000000000"], "more cells than fit in memory"),
    "no folder for rows": (["sample", "{model}", "--out", "absent/rows.csv"], "does not exist; make it first"),
    "folder as rows": (["sample", "{model}", "--out", "{folder}"], "is a folder"),
    "folder that ends in .csv": (["impute", "{model}", "penguins", "--out", "{folder}/a.csv"], "is a folder"),
    "folder as predictions": (["predict", "{model}", "penguins", "--out", "{folder}"], "is a folder"),
    "folder as surprises": (["score", "{model}", "penguins", "--out", "{folder}"], "is a folder"),
    "folder as a table": (["data", "penguins", "--out", "{folder}"], "is a folder"),
    "folder as a schema": (["info", "penguins", "--out", "{folder}"], "is a folder"),
    "folder as a picture": (
        ["learning-curve", "penguins", "--target", "sex", "--out", "{folder}/a.png"],
        "is a folder",
    ),
    "no folder for a picture": (
        ["learning-curve", "penguins", "--target", "sex", "--out", "no/a.png"],
        "make it first",
    ),
    "file as a report": (["compare", "penguins", "--target", "species", "--out", "{csv}"], "is a file"),
    "no separator": (["sample", "{model}", "--separator", ";;"], "give one character"),
    "no way of unseen": (["score", "{model}", "penguins", "--unseen", "ignore"], "--unseen"),
    "all values differ": (
        ["fit", "{csv}", "--target", "b", "--out", "{folder}/m.safetensors"],
        "choose another target",
    ),
    "no verb": (["fitt", "penguins"], "fit"),
    "no option": (["fit", "penguins", "--targt", "species", "--out", "m.safetensors"], "--target"),
    "no out": (["fit", "penguins"], "--out"),
    "no number": (["sample", "{model}", "-n", "many"], "--rows"),
    "no rows": (["sample", "{model}", "-n", "0"], "greater than or equal to 1"),
    "no file": (["info", "penguin.csv"], "penguin.csv"),
    "no model": (["sample", "penguin.safetensors"], "does not exist"),
    "table as model": (["sample", "{csv}"], "no model file"),
    "folder as model": (["sample", "{folder}"], "a folder"),
    "no target": (
        ["fit", "penguins", "--target", "specie", "--out", "{folder}/m.safetensors"],
        "did you mean 'species'",
    ),
    "no family": (
        ["fit", "penguins", "--family", "naive-bays", "--out", "m.safetensors"],
        "did you mean 'naive-bayes'",
    ),
    "no suffix": (["fit", "penguins", "--out", "penguins.csv"], "name it penguins.safetensors"),
    "no folder": (["fit", "penguins", "--out", "absent/m.safetensors"], "does not exist; make it first"),
    "no setting": (["fit", "penguins", "--set", "alfa=1", "--out", "m.safetensors"], "did you mean 'alpha'"),
    "half a setting": (["fit", "penguins", "--set", "alpha", "--out", "m.safetensors"], "write --set alpha=0.5"),
    "two settings": (["fit", "penguins", "--set", "alpha=1", "--set", "alpha=2", "--out", "m.safetensors"], "twice"),
    "odd setting": (["fit", "penguins", "--set", "alpha=-1", "--out", "m.safetensors"], "alpha is -1"),
    "no leaf": (["fit", "penguins", "--set", "leaves=kdee", "--out", "m.safetensors"], "did you mean 'kde'"),
    "no kind": (["info", "penguins", "--kind", "year=categry"], "did you mean 'category'"),
    "half a kind": (["info", "penguins", "--kind", "year"], "write --kind zip=category"),
    "no column": (["info", "penguins", "--drop", "yeer"], "did you mean 'year'"),
    "no schema": (["info", "penguins", "--schema", "{csv}"], "not a schema file"),
    "no evidence": (["sample", "{model}", "--given", "species"], "not COL=VALUE"),
    "no such column": (["sample", "{model}", "--given", "specie=Adelie"], "did you mean 'species'"),
    "no such level": (["sample", "{model}", "--given", "species=Adelle"], "did you mean 'Adelie'"),
    "no number given": (["sample", "{model}", "--given", "body_mass_g=heavy"], "'heavy' is no number"),
    "twice given": (["sample", "{model}", "--given", "sex=male", "--given", "sex=female"], "twice"),
    "empty range": (["sample", "{model}", "--given", "body_mass_g=5000..4000"], "body_mass_g"),
    "no table": (["data", "penguin"], "did you mean 'penguins'"),
    "no ending": (["sample", "{model}", "--out", "{folder}/rows.xyz"], ".xyz"),
    "no class": (["learning-curve", "penguins", "--target", "body_mass_g"], "is a number"),
    "no picture": (["learning-curve", "penguins", "--target", "species", "--out", "curve"], "curve.png"),
    "no such model": (["compare", "penguins", "--target", "species", "--model", "naive Bays"], "did you mean"),
    "no minutes": (["compare", "penguins", "--minutes", "-1"], "minutes is -1"),
    "columns of another": (["score", "{model}", "adult"], "column"),
    "schema as model": (["info", "penguins", "--out", "s.safetensors"], "name it s.schema.json"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(name, model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("a,b\n1,x\n2,y\n")
    for folder in ("a.csv", "a.png"):
        (tmp_path / folder).mkdir()
    for link, to in (("link.csv", "gone.csv"), ("loop.csv", "loop.csv"), ("link.safetensors", "gone.safetensors")):
        (tmp_path / link).symlink_to(to)
    arguments, said = MISTAKES[name]
    places = {"model": model, "csv": tmp_path / "rows.csv", "folder": tmp_path}
    code, out, err = asked(capsys, *(a.format(**places) for a in arguments))
    assert code == 2
    assert out == ""
    assert said in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("begat: ")
    assert "Traceback" not in err and err.count("begat: ") == 1
    assert [file.name for file in tmp_path.glob("*.safetensors")] == ["link.safetensors"]
    assert (tmp_path / "rows.csv").read_text() == "a,b\n1,x\n2,y\n"


# streams and signals ------------------------------------------------------------------------------------------------
BEGAT = f"{shlex.quote(sys.executable)} -m begat.cli.main"
posix = pytest.mark.skipif(os.name != "posix", reason="streams, signals and devices of POSIX")


def shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True)


@posix
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_an_end_from_outside_keeps_what_is_finished(end, tmp_path):
    command = [sys.executable, "-m", "begat.cli.main", "compare", "penguins", "--target", "species"]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    begun = 0
    for line in process.stderr:
        begun += "%" in line.split("  ")[0]
        if begun == 2:
            process.send_signal(end)
            break
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    facts = json.loads((tmp_path / "results.json").read_text())
    assert facts["interrupted"] is True
    assert "done" in {m["status"] for m in facts["models"]}
    assert "independent columns" in out
    assert not list(tmp_path.glob(".*"))


@posix
@pytest.mark.parametrize(("verb", "first"), [("sample {model} -n 20000", "species,"), ("info adult", "adult: ")])
def test_a_reader_that_leaves_is_no_mistake(verb, first, model):
    done = shell(f"{BEGAT} {verb.format(model=model)} | head -n 1")
    assert done.returncode == 141
    assert done.stderr == ""
    assert done.stdout.startswith(first)


@posix
@pytest.mark.parametrize("verb", ["--help", "info penguins", "info penguins --json", "sample {model}", "data penguins"])
@pytest.mark.parametrize(
    ("where", "said"), [(">&-", "begat: standard output is closed"), (">/dev/full", "begat: the output: No space left")]
)
def test_an_output_that_takes_nothing_is_one_line(where, said, verb, model):
    if where == ">/dev/full" and not Path("/dev/full").exists():
        pytest.skip("no device that is always full")
    done = shell(f"{BEGAT} {verb.format(model=model)} {where}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said) and done.stderr.count("\n") == 1


@posix
def test_a_closed_input_is_empty_and_a_closed_error_is_silent(model, tmp_path):
    assert "begat: standard input is empty" in shell(f"{BEGAT} info - <&-").stderr
    done = shell(f"{BEGAT} sample {model} -n 3 --out {tmp_path / 'rows.csv'} 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(pd.read_csv(tmp_path / "rows.csv")) == 3
    done = shell(f"{BEGAT} info nothing.csv 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


@posix
def test_a_current_folder_that_is_gone_is_one_line(tmp_path):
    done = shell(f"mkdir {tmp_path}/gone && cd {tmp_path}/gone && rmdir {tmp_path}/gone && {BEGAT} info penguins")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == "begat: the current folder does not exist any more; change to one that does"


# pictures -------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def gallery(tmp_path_factory) -> Path:
    """A folder with digits in sub-folders of their classes, and models of them and of the same without labels."""
    folder = tmp_path_factory.mktemp("gallery")
    digits = begat.read("digits", rows=120)
    write_pictures(digits.X, folder / "digits", digits.y, levels=17)
    np.savez(folder / "digits.npz", X=digits.X, y=digits.y)
    for name, more in (("m", []), ("bare", ["--drop", "y"])):
        fit = ["fit", f"{folder}/digits.npz", "--family", "naive-bayes", "--out", f"{folder}/{name}.safetensors"]
        assert run([*fit, *more]) == 0
    gaps = digits.X[:4].astype(float)
    gaps[:, 5:] = np.nan
    np.save(folder / "gaps.npy", gaps)
    return folder


def test_pictures_are_fitted_with_their_labels_and_said_in_few_lines(gallery, tmp_path, capsys):
    code, out, err = asked(
        capsys, "fit", gallery / "digits", "--family", "naive-bayes", "--out", tmp_path / "m.safetensors"
    )
    assert code == 0 and "Learnt 120 pictures of 8 x 8, 256 levels, with labels (label), in " in out
    assert begat.load(tmp_path / "m.safetensors").classes_.tolist() == list("0123456789")
    assert out.count("\n") + err.count("\n") < 8
    assert begat.load(gallery / "bare.safetensors").schema_.target is None
    for what in ("m.safetensors", "bare.safetensors", "digits.npz", "digits"):
        code, out, err = asked(capsys, "info", gallery / what)
        levels = 256 if what == "digits" else 17
        assert code == 0 and f"pictures of 8 x 8, {levels} levels" in out and out.count("\n") < 10
        assert "labels: none" in out if what.startswith("bare") else "10 classes: 0, 1, 2, 3" in out
    facts = as_json(capsys, "info", gallery / "m.safetensors")["schema"]
    assert facts == {"picture": [8, 8], "levels": 17, "target": "y", "classes": list(range(10))}
    assert as_json(capsys, "info", "digits", "--drop", "digit")["target"] is None
    assert as_json(capsys, "info", gallery / "digits", "--size", "4x6", "--channels", 3)["picture"] == [4, 6, 3]


def test_the_usual_family_is_that_of_what_is_read(gallery, tmp_path, capsys):
    quick = ["--set", "epochs=1", "--set", "width=8", "--set", "depth=1", "--out", tmp_path / "m.safetensors"]
    assert as_json(capsys, "fit", gallery / "digits.npz", *quick)["family"] == "Diffusion"
    assert options.Reading().usual("penguins") == "circuit" and options.Reading().usual("digits") == "diffusion"


def test_drawn_pictures_are_a_sheet_an_array_or_a_folder_of_classes(gallery, tmp_path, capsys):
    ask = ["sample", gallery / "m.safetensors", "-n", 7, "--seed", 1]
    assert asked(capsys, *ask, "--out", tmp_path / "sheet.png")[2] == (
        f"Wrote a sheet of 7 pictures to {tmp_path}/sheet.png.\n"
    )
    facts = as_json(capsys, *ask, "--out", tmp_path / "drawn.npz")
    held = np.load(tmp_path / "drawn.npz")
    assert held["X"].shape == (7, 8, 8) and held["X"].max() <= 16 and held["y"].tolist() == facts["labels"]
    assert asked(capsys, *ask, "--out", tmp_path / "drawn.npy")[0] == 0
    assert asked(capsys, *ask, "--out", tmp_path / "drawn")[0] == 0
    again = begat.read(tmp_path / "drawn")
    assert sorted(again.y.tolist()) == sorted(map(str, facts["labels"])) and len(again.files) == 7
    np.testing.assert_array_equal(np.load(tmp_path / "drawn.npy"), held["X"])
    assert as_json(capsys, *ask, "--given", "y=3", "--out", tmp_path / "threes")["labels"] == [3] * 7
    assert [p.name for p in (tmp_path / "threes").iterdir()] == ["3"]
    bare = as_json(capsys, "sample", gallery / "bare.safetensors", "--out", tmp_path / "bare")
    assert bare["labels"] is None and len(list((tmp_path / "bare").glob("*.png"))) == 10
    # a sheet that was drawn is scored in the levels that it was drawn from
    lines = as_json(capsys, "score", gallery / "m.safetensors", tmp_path / "drawn")["rows"]
    each = begat.load(gallery / "m.safetensors").log_prob(held["X"])
    order = [int(Path(line["file"]).stem) for line in lines]
    assert [line["log_prob"] for line in lines] == pytest.approx(each[order].tolist())


def test_scores_and_predictions_of_pictures_are_lines_with_their_files(gallery, tmp_path, capsys):
    fitted, digits = begat.load(gallery / "m.safetensors"), begat.read("digits", rows=120)
    code, out, err = asked(capsys, "score", gallery / "m.safetensors", gallery / "digits")
    lines = pd.read_csv(io.StringIO(out))
    assert code == 0 and list(lines.columns) == ["file", "log_prob", "bits_per_dimension"] and len(lines) == 120
    order = [int(Path(name).stem) for name in lines.file]
    np.testing.assert_allclose(lines.log_prob, fitted.log_prob(digits.X)[order])
    np.testing.assert_allclose(lines.bits_per_dimension, -lines.log_prob / np.log(2) / 64)
    assert "bits per dimension, over 120 pictures" in err
    code, out, _ = asked(capsys, "score", gallery / "m.safetensors", gallery / "digits", "--odd", 2)
    assert out.count(".png") == 2 and lines.file[lines.log_prob.idxmin()] in out
    assert asked(capsys, "score", gallery / "m.safetensors", "digits", "--out", tmp_path / "s.csv")[0] == 0
    assert pd.read_csv(tmp_path / "s.csv").picture.tolist() == list(range(1797))
    code, out, err = asked(capsys, "predict", gallery / "m.safetensors", gallery / "digits", "--proba")
    made = pd.read_csv(io.StringIO(out))
    assert made.file.tolist() == lines.file.tolist() and made.y.tolist() == fitted.predict(digits.X)[order].tolist()
    np.testing.assert_allclose(made.filter(like="P(").sum(axis=1), 1)
    assert "of 120 pictures with a known y are predicted right" in err
    judged = as_json(capsys, "predict", gallery / "m.safetensors", gallery / "digits.npz")["judged"]
    assert judged["right"] == (fitted.predict(digits.X) == digits.y).mean()
    write_pictures(digits.X[:5], tmp_path / "flat", levels=17)
    assert as_json(capsys, "predict", gallery / "m.safetensors", tmp_path / "flat")["judged"] is None


def test_unknown_pixels_are_filled(gallery, tmp_path, capsys):
    ask = ["impute", gallery / "m.safetensors", gallery / "gaps.npy", "--seed", 0]
    assert asked(capsys, *ask, "--out", tmp_path / "sheet.png")[2].startswith("Filled 96 pixels in 4 pictures.\n")
    facts = as_json(capsys, *ask, "--draws", 3, "--out", tmp_path / "filled.npy")
    assert (facts["missing_pixels"], facts["pictures"], facts["draws"]) == (96, 4, 3)
    filled, gaps = np.load(tmp_path / "filled.npy"), np.load(gallery / "gaps.npy")
    assert filled.shape == (12, 8, 8) and filled.max() <= 16
    known = ~np.isnan(gaps)
    for draw in filled.reshape(3, 4, 8, 8):
        np.testing.assert_array_equal(draw[known], gaps[known])


def test_pictures_are_compared(gallery, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(recogniser, "STEPS", 100)
    ask = ["compare", gallery / "digits.npz", "--model", "naive Bayes", "--test", gallery / "few.npz"]
    few = begat.read("digits").X[1700:1740]
    np.savez(gallery / "few.npz", X=few, y=begat.read("digits").y[1700:1740])
    code, out, err = asked(capsys, *ask, "--out", tmp_path / "report")
    assert code == 0 and "bits/dim" in out and f"{tmp_path}/report/samples.png" in err
    held = json.loads((tmp_path / "report" / "results.json").read_text())["plan"]
    assert (held["train"], held["held_out"], held["target"], held["picture"]) == (120, 40, "y", [8, 8])
    assert begat.load(tmp_path / "report" / "naive-bayes.safetensors").sample(2).shape == (2, 8, 8)


def test_a_catalogue_has_pictures(tmp_path, capsys):
    assert asked(capsys, "data", "digits", "--out", tmp_path / "digits.npz")[0] == 0
    assert begat.read(tmp_path / "digits.npz").X.shape == (1797, 8, 8)
    assert "64 pixels" in asked(capsys, "data")[1]


def test_a_wide_table_is_said_in_few_lines(tmp_path, capsys):
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(60, 300)), columns=[f"p{i}" for i in range(300)])
    frame.assign(y=["a", "b"] * 30).to_csv(tmp_path / "wide.csv", index=False)
    out = asked(capsys, "info", tmp_path / "wide.csv", "--target", "y")[1]
    assert "p0, p1, p2 and 297 more" in out and out.count("\n") < 20
    fit = [
        "fit",
        tmp_path / "wide.csv",
        "--target",
        "y",
        "--family",
        "naive-bayes",
        "--out",
        tmp_path / "m.safetensors",
    ]
    code, out, err = asked(capsys, *fit)
    assert code == 0 and (out + err).count("\n") < 50
    out = asked(capsys, "info", tmp_path / "m.safetensors")[1]
    assert out.count("\n") < 25 and "and 260 more" in out


PICTURE_MISTAKES = {
    "printed": (["sample", "{m}"], "pictures cannot be printed; give --out NAME.png for a sheet"),
    "printed gaps": (["impute", "{m}", "{g}/gaps.npy"], "pictures cannot be printed"),
    "printed catalogue": (["data", "digits"], "pictures cannot be printed"),
    "as a table": (["sample", "{m}", "--out", "{g}/a.csv"], "expected .png, .npy, .npz, or no ending for a folder"),
    "into a full folder": (["sample", "{m}", "--out", "{g}/digits"], "is not empty"),
    "no place": (["sample", "{m}", "--out", "absent/a.png"], "does not exist"),
    "sides": (
        ["score", "{m}", "{g}/small.npy"],
        "has pictures of 5 x 5, but the model is of pictures of 8 x 8, 17 levels",
    ),
    "table": (["score", "{m}", "penguins"], "penguins is a table, but the model is of pictures"),
    "pictures of a table": (["score", "{model}", "digits"], "digits is pictures, but the model is of a table"),
    "one picture": (["predict", "{m}", "{g}/digits/3/003.png"], "give the folder that holds all of them"),
    "no classes": (["predict", "{g}/bare.safetensors", "digits"], "was fitted without a target"),
    "encoding": (["score", "{m}", "digits", "--encoding", "cp1252"], "--encoding is for tables"),
    "whole pictures": (
        ["impute", "{m}", "{g}/digits", "--out", "{g}/a.npy"],
        "cannot say which pixels are unknown; give",
    ),
    "gaps of other sides": (["impute", "{m}", "{g}/small.npy", "--out", "{g}/a.npy"], "has the shape (3, 5, 5)"),
    "schema": (["info", "digits", "--out", "s.json"], "pictures have no schema to edit"),
    "schema of a model": (["info", "{m}", "--out", "s.json"], "pictures have no schema to edit"),
    "kinds": (["fit", "digits", "--kind", "x0=count", "--out", "n.safetensors"], "of which kinds="),
    "a column": (["fit", "digits", "--drop", "x0", "--out", "n.safetensors"], "they are called 'digit'"),
    "no such labels": (["fit", "digits", "--target", "y", "--out", "n.safetensors"], "are called 'digit', not 'y'"),
    "size": (["fit", "digits", "--size", "8by8", "--out", "n.safetensors"], "write --size 32"),
    "size of a table": (["info", "penguins", "--size", "8"], "is a table, of which size=8 says nothing"),
    "labels of their own": (
        ["fit", "{g}/unique.npz", "--out", "n.safetensors"],
        "every picture has a y of its own; leave them out: --drop y",
    ),
    "group": (["compare", "digits", "--group", "digit"], "is of the columns of a table"),
}


@pytest.mark.parametrize("name", PICTURE_MISTAKES)
def test_a_mistake_with_pictures_is_one_line(name, gallery, model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save(gallery / "small.npy", np.ones((3, 5, 5)))
    np.savez(gallery / "unique.npz", X=np.ones((4, 8, 8)), y=np.arange(4))
    arguments, said = PICTURE_MISTAKES[name]
    places = {"m": gallery / "m.safetensors", "g": gallery, "model": model}
    code, out, err = asked(capsys, *(a.format(**places) for a in arguments))
    assert (code, out) == (2, "")
    assert said in err.splitlines()[-1] and err.splitlines()[-1].startswith("begat: ")
    assert err.count("begat: ") == 1 and "Traceback" not in err and not list(tmp_path.iterdir())


# names that a terminal would obey ------------------------------------------------------------------------------------
EVIL = "tgt\x1b[1m$\\frac{$"


@pytest.fixture(scope="module")
def evil(tmp_path_factory) -> Path:
    """A folder with a table and its model, whose names and levels are commands, styles, formulas and line breaks."""
    folder = tmp_path_factory.mktemp("evil")
    y = ["a\x1b[31mred", "b[/bold]$x_{$"] * 30
    frame = pd.DataFrame(
        {
            "esc\x1b]0;title\x07": [(i * 37 % 60) / 7 + i % 2 for i in range(60)],
            "[red]mark[/x]": ["\u202eevil", "x\ny", "z\x9b31m"] * 20,
            "new\nline\r": [i * 11 % 17 for i in range(60)],
            EVIL: y,
        }
    )
    frame.to_parquet(folder / "rows.parquet")
    assert run(["fit", f"{folder}/rows.parquet", "--target", EVIL, "--out", f"{folder}/m.safetensors"]) == 0
    return folder


ASKED = {
    "info": "info rows.parquet",
    "info as JSON": "info rows.parquet --json",
    "schema": "info rows.parquet --out rows.schema.json",
    "model": "info m.safetensors",
    "model as JSON": "info m.safetensors --json",
    "score": "score m.safetensors rows.parquet --odd 5",
    "predict": "predict m.safetensors rows.parquet --out p.csv",
    "predict as JSON": "predict m.safetensors rows.parquet --json",
    "impute": "impute m.safetensors rows.parquet --out i.parquet",
    "compare": "compare rows.parquet --target TARGET --model 'naive Bayes' --out report",
    "learning curve": "learning-curve rows.parquet --target TARGET --size 20 --repeats 2 --out curve.png",
    "no file": "info 'no\x1b[31m.csv'",
    "no column": "info rows.parquet --drop 'no\x1b[31m'",
    "no evidence": "sample m.safetensors --given 'esc\x1b=3'",
    "no verb": "'inf\x1bo' rows.parquet",
}


def words_of(value: object) -> set[str]:
    """Every text in a JSON value, keys among them."""
    if isinstance(value, str):
        return {value}
    inside = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return set().union(*map(words_of, inside))


@pytest.mark.parametrize("name", ASKED)
def test_no_name_reaches_the_terminal_as_a_command(name, evil, capsys, monkeypatch):
    monkeypatch.chdir(evil)
    words = [EVIL if word == "TARGET" else word for word in shlex.split(ASKED[name])]
    code, out, err = asked(capsys, *words)
    assert code == (2 if name.startswith("no ") else 0), err
    obeyed = [c for c in out + err if c != "\n" and (not c.isprintable() or c == "\u202e")]
    assert not obeyed
    assert "\\x1b" in out + err or name in ("impute", "learning curve", "schema") or name.endswith("JSON")
    if name.endswith("JSON"):
        assert EVIL in words_of(json.loads(out))


# rows in a file and facts as JSON ------------------------------------------------------------------------------------
@pytest.mark.parametrize("verb", ["sample {model} -n 4", "predict {model} penguins", "impute {model} penguins",
                                  "data penguins"])  # fmt: skip
def test_rows_go_to_the_file_or_into_the_json(verb, model, tmp_path, capsys):
    asks = verb.format(model=model).split()
    inside = as_json(capsys, *asks)
    beside = as_json(capsys, *asks, "--out", tmp_path / "rows.csv")
    assert set(beside) == set(inside) - {"rows"} | {"out"} and beside["out"] == str(tmp_path / "rows.csv")
    assert len(pd.read_csv(tmp_path / "rows.csv")) == len(inside["rows"])


# what a person types ----------------------------------------------------------------------------------------------
SCHEMA = Schema(
    (
        Column(name="age", kind="integer", grid=Grid()),
        Column(name="job=old", kind="category", levels=("a", "b|c", "x..y", "")),
        Column(name="rank", kind="ordinal", levels=(1, 2, 3)),
        Column(name="sure", kind="boolean", levels=(False, True)),
        Column(name="born", kind="datetime", grid=Grid(), tick="day"),
        Column(name="height", kind="continuous"),
    )
)
EVIDENCE = {
    "age=40": 40,
    "age= 40 ": 40,
    "age=30..50": (30, 50),
    "age=30..": (30, None),
    "age=..50": (None, 50),
    "age=-5..-1": (-5, -1),
    "age=1|2": {1, 2},
    "height=1.5": 1.5,
    "height=1e2..2e2": (100.0, 200.0),
    "job=old=a": "a",
    "job=old=b|c": "b|c",
    "job=old=x..y": "x..y",
    "job=old=a|x..y": {"a", "x..y"},
    "rank=2": 2,
    "rank=1|3": {1, 3},
    "sure=True": True,
    "born=2020-02-29": "2020-02-29",
    "born=2020-01-01..2020-12-31": ("2020-01-01", "2020-12-31"),
}


@pytest.mark.parametrize("text", EVIDENCE)
def test_evidence_is_read_as_it_is_meant(text):
    ((_, meant),) = evidence.parse([text], SCHEMA).items()
    assert meant == EVIDENCE[text]
    assert type(meant) is type(EVIDENCE[text])


@pytest.mark.parametrize(
    "text", ["", "=", "age", "age=", "age=..", "age=old", "rank=4", "job=a", "age=1..x", "job=old=zz"]
)
def test_evidence_that_means_nothing_is_refused(text):
    with pytest.raises(EvidenceError):
        evidence.parse([text], SCHEMA)


SETTINGS = {
    ("alpha=0.5",): {"alpha": 0.5},
    ("leaves=kde",): {"leaves": "kde"},
    ("leaves.age=kde", "leaves.a=b=gaussian"): {"leaves": {"age": "kde", "a=b": "gaussian"}},
    ("priors=[0.2, 0.8]",): {"priors": [0.2, 0.8]},
    ('priors={"no": 0.2, "yes": 0.8}',): {"priors": {"no": 0.2, "yes": 0.8}},
    ("shared_variance=true", "priors=null"): {"shared_variance": True, "priors": None},
}


@pytest.mark.parametrize("texts", SETTINGS)
def test_settings_are_keywords(texts):
    assert options.settings(texts, begat.NaiveBayes) == SETTINGS[texts]


@pytest.mark.parametrize(
    "texts", [("alpha",), ("alpha=",), ("beta=1",), ("alpha=1", "alpha.x=2"), ("alpha.x=2", "alpha=1")]
)
def test_settings_that_mean_nothing_are_refused(texts):
    with pytest.raises(BegatError):
        options.settings(texts, begat.NaiveBayes)


@pytest.mark.parametrize("texts", [["a"], ["=x"], ["a="], ["a=x", "a=y"]])
def test_pairs_that_mean_nothing_are_refused(texts):
    with pytest.raises(BegatError):
        options.pairs(texts, "--kind", "zip=category")
    assert options.pairs(["a=b=category"], "--kind", "zip=category") == {"a=b": "category"}
