"""begat impute: fill what is missing, from a model file."""

from __future__ import annotations

from typing import Annotated

import typer

from begat.cli import options, output


def impute(
    model: options.ModelPath,
    data: options.DataPath,
    draws: Annotated[
        int, typer.Option("--draws", metavar="N", min=1, help="Completed tables, one under the other, numbered.")
    ] = 1,
    seed: options.FreshSeed = None,
    out: options.RowsOut = "-",
    separator: options.Separator = None,
    encoding: options.Encoding = None,
    query: options.Query = None,
    as_json: options.AsJson = False,
) -> None:
    """Fill every missing cell with a draw from its distribution given what is known of its row.

    \b
    Example:
      begat impute adult.safetensors gaps.csv --draws 5 --seed 0 --out filled.csv
    """
    import pandas as pd

    from begat import load
    from begat.codecs.write import write

    fitted = load(model)
    frame = options.Reading(separator=separator, encoding=encoding, query=query).like(data, fitted.schema_)
    gaps = int(frame.isna().sum().sum())
    with output.working("imputing"):
        made = fitted.impute(frame, draws=draws, random_state=seed)
    if draws > 1:
        name = "draw"
        while name in frame.columns:
            name += "_"
        made = pd.concat([m.assign(**{name: i + 1}) for i, m in enumerate(made)], ignore_index=True)
    else:
        made = made[0]
    if as_json:
        output.print_json({"missing_cells": gaps, "rows": output.records(made)})
        return
    write(made, out, fitted.schema_)
    output.say(f"{gaps:,} cells were missing in {len(frame):,} rows.")
