"""begat predict: the target of new rows, from a model file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from begat.cli import options, output
from begat.errors import BegatError

if TYPE_CHECKING:
    import pandas as pd


def predict(
    model: options.ModelPath,
    data: options.DataPath,
    proba: Annotated[bool, typer.Option("--proba", help="Also write the probability of every class.")] = False,
    out: options.RowsOut = "-",
    unseen: options.Unseen = None,
    separator: options.Separators = None,
    encoding: options.Encoding = None,
    query: options.Query = None,
    as_json: options.AsJson = False,
) -> None:
    """Predict the target of every row or picture: its most probable class, or the expected value of a number.

    Where DATA has the target, say how right the predictions are. Pictures are named by their files.

    \b
    Example:
      begat predict penguins.safetensors penguins --proba --out predicted.csv
    """
    import pandas as pd

    output.table_place(out, separator)
    fitted = options.loaded(model, unseen)
    target, classes = fitted.schema_.target, fitted.role_ == "classification"
    if target is None:
        raise BegatError(f"{model} was fitted without a target; fit it with --target COL to predict one")
    if proba and not classes:
        raise BegatError(f"--proba: the target {target!r} is a number, which has no classes; leave --proba out")
    reading, shown = options.Reading(separator=separator, encoding=encoding, query=query), fitted.schema_.picture
    if shown is not None:
        from begat.cli import pictures

        found = reading.pictures(data, fitted.schema_)
        asked, frame, names = found.X, pictures.truth(fitted, found), pictures.named(found, target)
    else:
        asked = frame = reading.like(data, fitted.schema_).frame
        names = {}
    with output.working("predicting"):
        made = pd.DataFrame({**names, target: fitted.predict(asked)})
        if proba:
            each = fitted.predict_proba(asked)
            made = made.assign(**{f"P({c})": each[:, i] for i, c in enumerate(fitted.classes_)})
    judged = _judged(frame, made, target, classes)
    answer = output.put_rows(made, out, as_json, fitted.schema_.only([target]) if classes else None, separator)
    if as_json:
        output.print_json({**answer, "judged": judged})
        return
    if judged is not None:
        output.say(_said(judged, target, "row" if shown is None else "picture"))
    if out != "-":
        output.say(f"Wrote {output.counted(len(made), 'prediction')} to {out}.")


def _judged(frame: pd.DataFrame, made: pd.DataFrame, target: Any, classes: bool) -> dict[str, Any] | None:
    """How right the predictions are, where the table says what is true."""
    from pandas.api.types import is_numeric_dtype

    from begat.metrics.regression import mae, r2

    known = frame[target].notna().to_numpy() if target in frame.columns else None
    if known is None or not known.any():
        return None
    truth, guess, rows = frame[target][known], made[target][known], int(known.sum())
    numbers = is_numeric_dtype(truth) and is_numeric_dtype(guess)  # of which a missing cell makes floats
    if not classes:
        true, guessed = truth.to_numpy(dtype=float), guess.to_numpy(dtype=float)
        return {"rows": rows, "r2": r2(true, guessed).value, "mean_absolute_error": mae(true, guessed).value}
    kind = float if numbers else str
    right = truth.astype(kind).to_numpy() == guess.astype(kind).to_numpy()
    return {"rows": rows, "right": float(right.mean()), "commonest_class": float(truth.value_counts().max() / rows)}


KIND = "Of {}s that the model learnt from, this is kinder than of new ones."


def _said(judged: dict[str, Any], target: Any, noun: str) -> str:
    rows, kind = f"{output.counted(judged['rows'], noun)} with a known {target}", KIND.format(noun)
    if "right" in judged:
        return (
            f"{judged['right']:.1%} of {rows} are predicted right; their commonest class is "
            f"{judged['commonest_class']:.1%} of them. {kind}"
        )
    r2 = "" if judged["r2"] is None else f"R2 {judged['r2']:.4f}, "
    return f"{r2}mean absolute error {judged['mean_absolute_error']:.4g}, over {rows}. {kind}"
