"""begat score: how likely a table is under a model file."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from begat.cli import options, output

if TYPE_CHECKING:
    import pandas as pd


def score(
    model: options.ModelPath,
    data: options.DataPath,
    odd: Annotated[int, typer.Option("--odd", metavar="N", min=0, help="Also show the N least likely rows.")] = 0,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="FILE", help="Write each row's log-probability and each cell's surprise."),
    ] = None,
    separator: options.Separator = None,
    encoding: options.Encoding = None,
    query: options.Query = None,
    as_json: options.AsJson = False,
) -> None:
    """Print the mean log-likelihood of a table's rows, in nats, with its standard error.

    \b
    Example:
      begat score adult.safetensors new.csv --odd 5
    """
    import numpy as np

    from begat import load

    fitted = load(model)
    frame = options.Reading(separator=separator, encoding=encoding, query=query).like(data, fitted.schema_)
    with output.working("scoring"):
        each = fitted.log_prob(frame)
        surprise = fitted.surprise(frame) if odd or out else None
    possible = np.isfinite(each)
    facts: dict[str, Any] = {
        "rows": len(each),
        "log_likelihood": float(each.mean()) if possible.all() else None,
        "stderr": float(each.std(ddof=1) / len(each) ** 0.5) if possible.all() and len(each) > 1 else None,
        "impossible_rows": int((~possible).sum()),
        "mean_of_possible_rows": float(each[possible].mean()) if possible.any() else None,
        "likelihood": asdict(fitted.likelihood),
    }
    if surprise is not None and odd:
        facts["odd"] = _odd(each, surprise, frame, odd)
    if surprise is not None and out is not None:
        from begat.codecs.write import write

        surprise.insert(0, _free("log_prob", surprise.columns), each)
        write(surprise, out)
    if as_json:
        output.print_json(facts)
        return
    if possible.all():
        error = "" if facts["stderr"] is None else f" +- {facts['stderr']:.4f}"
        print(f"{facts['log_likelihood']:.4f}{error} nats per row over {len(each):,} rows")
    else:
        print(f"{facts['impossible_rows']:,} of {len(each):,} rows are impossible: outside stated bounds or off a grid")
        if possible.any():
            print(f"{facts['mean_of_possible_rows']:.4f} nats per row over the others")
    print(fitted.likelihood)
    if odd:
        rows = [[str(o["row"]), f"{o['log_prob']:.2f}", str(o["column"]), str(o["value"]), f"{o['surprise']:.2f}"]
                for o in facts["odd"]]  # fmt: skip
        output.print_table(["row", "log p", "oddest cell", "value", "surprise, nats"], rows, right=(0, 1, 4))


def _odd(each: Any, surprise: pd.DataFrame, frame: pd.DataFrame, most: int) -> list[dict[str, Any]]:
    """The least likely rows, and of each the cell that the others explain least."""
    import numpy as np

    cells = np.nan_to_num(surprise.to_numpy(dtype=float), nan=-np.inf)
    made = []
    for row in np.argsort(each, kind="stable")[:most]:
        column = surprise.columns[int(cells[row].argmax())]
        made.append(
            {"row": int(row), "log_prob": float(each[row]), "column": column, "value": frame[column].iloc[int(row)],
             "surprise": float(cells[row].max())}
        )  # fmt: skip
    return made


def _free(name: str, taken: Any) -> str:
    while name in set(taken):
        name += "_"
    return name
