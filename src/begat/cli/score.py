"""begat score: how likely a table is under a model file."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from begat.cli import options, output

if TYPE_CHECKING:
    import pandas as pd

    from begat.codecs.data import Data


def score(
    model: options.ModelPath,
    data: options.DataPath,
    odd: Annotated[
        int,
        typer.Option(
            "--odd",
            metavar="N",
            min=0,
            help="Also show the N least likely rows, and of each the cell whose surprise exceeds what is usual in its "
            "column, the median over the rows, by most.",
        ),
    ] = 0,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write each row's log-probability and each cell's surprise given the others, in nats on its column's "
            "own grid or unit; of pictures, each one's log-probability and bits per dimension, or to the screen.",
        ),
    ] = None,
    unseen: options.Unseen = None,
    separator: options.Separators = None,
    encoding: options.Encoding = None,
    query: options.Query = None,
    as_json: options.AsJson = False,
) -> None:
    """Print the mean log-likelihood of a table's rows, in nats, with its standard error; of pictures, that of each.

    \b
    Example:
      begat score penguins.safetensors penguins --odd 5
    """
    import numpy as np

    fitted = options.loaded(model, unseen)
    if fitted.schema_.picture is not None:
        from begat.cli import pictures

        pictures.score(fitted, options.Reading(encoding=encoding, query=query), data, odd, out, separator, as_json)
        return
    output.table_place(out, separator)
    table = options.Reading(separator=separator, encoding=encoding, query=query).like(data, fitted.schema_)
    frame, target = table.frame, fitted.schema_.target
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
        "without_target": target is not None and target not in frame.columns,
    }
    if surprise is not None and odd:
        facts["odd"] = _odd(each, surprise, table, odd)
    if surprise is not None and out is not None:
        from begat.codecs.write import write

        surprise.insert(0, _free("log_prob", surprise.columns), each)
        write(surprise, out, separator=separator)
    if as_json:
        output.print_json(facts)
        return
    if possible.all():
        error = "" if facts["stderr"] is None else f" +- {facts['stderr']:.4f}"
        output.tell(f"{facts['log_likelihood']:.4f}{error} nats per row over {len(each):,} rows")
    else:
        output.tell(
            f"{facts['impossible_rows']:,} of {len(each):,} rows are impossible: outside stated bounds or off a grid"
        )
        if possible.any():
            output.tell(f"{facts['mean_of_possible_rows']:.4f} nats per row over the others")
    output.tell(fitted.likelihood)
    if facts["without_target"]:
        output.tell(f"of the columns without {target}, which the rows do not have")
    if odd:
        rows = [[f"{o['row']:,}", f"{o['log_prob']:.2f}", str(o["column"]), o["value"] or "(missing)",
                 f"{o['surprise']:.2f}", f"{o['usual_surprise']:.2f}"] for o in facts["odd"]]  # fmt: skip
        header = ["row", "log p", "oddest cell", "value", "surprise, nats", "usual there"]
        output.print_table(header, rows, right=(0, 1, 4, 5))
        output.tell("Rows count from 0, the header not among them. Usual is the median of the column over these rows.")


def _odd(each: Any, surprise: pd.DataFrame, table: Data, most: int) -> list[dict[str, Any]]:
    """The least likely rows, and of each the cell whose surprise exceeds its column's median by most."""
    import numpy as np

    from begat.codecs.write import text_columns

    read = [name for name in surprise.columns if name in table.schema.names]
    cells = surprise[read].to_numpy(dtype=float)
    usual = surprise[read].median().to_numpy(dtype=float)[None]  # NaN, and no warning, where no cell is known
    beyond = np.where(np.isnan(cells), -np.inf, np.nan_to_num(cells, posinf=np.finfo(float).max) - usual)
    made = []
    for row in np.argsort(each, kind="stable")[:most]:
        at = int(beyond[row].argmax())
        ((value,),) = text_columns(table.frame[[read[at]]].iloc[[row]], table.schema)
        made.append(
            {"row": int(row), "log_prob": float(each[row]), "column": read[at], "value": value,
             "surprise": float(cells[row, at]), "usual_surprise": float(usual[0, at])}
        )  # fmt: skip
    return made


def _free(name: str, taken: Any) -> str:
    while name in set(taken):
        name += "_"
    return name
