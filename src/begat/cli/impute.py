"""begat impute: fill what is missing, from a model file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from begat.cli import options, output

if TYPE_CHECKING:
    import pandas as pd


def impute(
    model: options.ModelPath,
    data: options.DataPath,
    draws: Annotated[
        int, typer.Option("--draws", metavar="N", min=1, help="Completed tables, one under the other, numbered.")
    ] = 1,
    seed: options.FreshSeed = None,
    out: options.DrawnOut = "-",
    unseen: options.Unseen = None,
    separator: options.Separators = None,
    encoding: options.Encoding = None,
    query: options.Query = None,
    as_json: options.AsJson = False,
) -> None:
    """Fill missing cells, each with a draw from its distribution given what is known of its row.

    Columns that no model scores (free text, identifiers, columns that the model does not know) stay as they are. Of
    pictures, DATA is an array with NaN for unknown pixels: .npy or .npz.

    \b
    Example:
      begat impute penguins.safetensors penguins --draws 5 --seed 0 --out filled.csv
    """
    import pandas as pd

    fitted = options.loaded(model, unseen)
    if fitted.schema_.picture is not None:
        from begat.cli import pictures

        pictures.impute(fitted, data, draws, seed, out, as_json)
        return
    output.table_place(out, separator)
    table = options.Reading(separator=separator, encoding=encoding, query=query).like(data, fitted.schema_)
    frame, scored = table.frame, set(table.schema.names)
    with output.working("imputing"):
        made = fitted.impute(frame, draws=draws, random_state=seed)
    filled = sum(int(frame[name].isna().sum()) for name in scored)
    left = {name: n for name in frame.columns if name not in scored and (n := _missing(frame[name]))}
    if draws > 1:
        name = "draw"
        while name in frame.columns:
            name += "_"
        whole = pd.concat([m.assign(**{name: i + 1}) for i, m in enumerate(made)], ignore_index=True)
    else:
        whole = made[0]
    answer = output.put_rows(whole, out, as_json, table.schema, separator)
    if as_json:
        facts = {"missing_cells": filled + sum(left.values()), "filled_cells": filled, "left_cells": left}
        output.print_json({**facts, **answer})
        return
    output.say(f"Filled {output.counted(filled, 'cell')} in {output.counted(len(frame), 'row')}.")
    if left:
        names = output.listed([f"{name} ({output.counted(n, 'cell')})" for name, n in left.items()])
        output.say(f"Still missing, in columns that the model does not score: {names}.")


def _missing(column: pd.Series) -> int:
    """How many cells of a column that stays as the file holds it are missing, or hold a word that says so."""
    from begat.codecs.spelling import is_missing

    words = column.dropna().unique()
    tokens = [word for word, gone in zip(words, is_missing(words), strict=True) if gone] if len(words) else []
    return int((column.isna() | column.isin(tokens)).sum())
