"""begat sample: new rows from a model file."""

from __future__ import annotations

from typing import Annotated

import typer

from begat.cli import evidence, options, output


def sample(
    model: options.ModelPath,
    n: Annotated[int, typer.Option("-n", "--rows", metavar="N", min=1, help="How many rows.")] = 10,
    given: options.Given = None,
    seed: options.FreshSeed = None,
    out: options.RowsOut = "-",
    as_json: options.AsJson = False,
) -> None:
    """Draw new rows that look like the training rows, conditioned on evidence where it is given.

    \b
    Example:
      begat sample adult.safetensors -n 1000 --given "age=30..50" --given "income=>50K" --out rows.csv
    """
    from begat import load
    from begat.codecs.write import write

    fitted = load(model)
    with output.working("drawing"):
        rows = fitted.sample(n, given=evidence.parse(given, fitted.schema_), random_state=seed)
    if as_json:
        output.print_json({"rows": output.records(rows)})
        return
    write(rows, out, fitted.schema_)
    if out != "-":
        output.say(f"Wrote {n:,} rows to {out}.")
