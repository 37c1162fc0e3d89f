"""begat predict: the target of new rows, from a model file."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from begat.cli import options, output
from begat.errors import BegatError


def predict(
    model: options.ModelPath,
    data: options.DataPath,
    proba: Annotated[bool, typer.Option("--proba", help="Also write the probability of every class.")] = False,
    out: options.RowsOut = "-",
    separator: options.Separator = None,
    encoding: options.Encoding = None,
    query: options.Query = None,
    as_json: options.AsJson = False,
) -> None:
    """Predict the target of every row: its most probable class, or the expected value of a number.

    \b
    Example:
      begat predict adult.safetensors new.csv --proba --out predicted.csv
    """
    import pandas as pd

    from begat import load
    from begat.codecs.write import write

    fitted = load(model)
    target = fitted.schema_.target
    if target is None:
        raise BegatError(f"{model} was fitted without a target; fit it with --target COL to predict one")
    frame = options.Reading(separator=separator, encoding=encoding, query=query).like(data, fitted.schema_)
    with output.working("predicting"):
        made = pd.DataFrame({target: fitted.predict(frame)})
        if proba:
            each = fitted.predict_proba(frame)
            made = made.assign(**{f"P({c})": each[:, i] for i, c in enumerate(fitted.classes_)})
    if as_json:
        output.print_json({"rows": output.records(made)})
        return
    write(made, out, fitted.schema_.only([target]) if fitted.role_ == "classification" else None)
    _judge(frame, made, target, fitted)
    if out != "-":
        output.say(f"Wrote {len(made):,} predictions to {out}.")


def _judge(frame: Any, made: Any, target: Any, fitted: Any) -> None:
    """How right the predictions are, where the table says what is true."""
    if target not in frame.columns or fitted.role_ != "classification":
        return
    known = frame[target].notna().to_numpy()
    if known.any():
        right = (frame[target].astype("str").to_numpy() == made[target].astype("str").to_numpy())[known]
        output.say(f"{right.mean():.1%} of {known.sum():,} rows with a known {target} are predicted right.")
