"""begat learning-curve: naive Bayes against logistic regression, by the number of training rows."""

from __future__ import annotations

from typing import Annotated

import typer

from begat.cli import options, output
from begat.errors import BegatError


def learning_curve(
    data: options.DataPath,
    target: Annotated[str, typer.Option("--target", metavar="COL", help="The column to predict, with classes.")],
    out: Annotated[
        str | None, typer.Option("--out", metavar="FILE", help="Where the picture goes, as curve.png.")
    ] = None,
    sizes: Annotated[
        list[int] | None, typer.Option("--size", metavar="N", min=2, help="A training size; repeat at will.")
    ] = None,
    repeats: Annotated[
        int, typer.Option("--repeats", metavar="N", min=2, help="Random training sets of each size.")
    ] = 10,
    kind: options.Kinds = None,
    drop: options.Drop = None,
    schema: options.SchemaFile = None,
    separator: options.Separator = None,
    encoding: options.Encoding = None,
    query: options.Query = None,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
) -> None:
    """Draw accuracy and log-loss of naive Bayes and logistic regression against training size; say where they cross.

    \b
    Example:
      begat learning-curve penguins --target species --out curve.png
    """
    import begat

    if out is not None and not out.endswith((".png", ".svg", ".pdf")):
        raise BegatError(f"--out {out!r}: the picture ends in .png, .svg or .pdf; name it {out}.png")
    output.file_place(out)
    table = options.Reading(target, kind, drop, schema, separator, encoding, query).data(data)
    with output.following() as follow:
        curve = begat.learning_curve(
            table,
            sizes=sizes,
            repeats=repeats,
            seed=seed,
            progress=lambda done: follow("learning curve", "fitting", done),
        )
    if out is not None:
        curve.plot(out)
    if as_json:
        output.print_json(curve.to_dict())
        return
    for failure in curve.failures:
        output.say(f"note: {failure}")
    columns = [(metric, model) for metric in ("accuracy", "log_loss") for model in curve.models]
    cells = {(r.rows, r.metric, r.model): f"{r.mean:.4f} +- {r.stderr:.4f}" for r in curve.table.itertuples()}
    rows = [[f"{size:,}", *(cells[size, metric, model] for metric, model in columns)] for size in curve.sizes]
    header = ["rows", *(f"{metric.replace('_', '-')}, {model}" for metric, model in columns)]
    output.print_table(header, rows, right=range(len(header)))
    output.tell(curve)
    if out is not None:
        output.say(f"Wrote {out}.")
