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
    out: options.DrawnOut = "-",
    separator: options.SeparatorOut = None,
    as_json: options.AsJson = False,
) -> None:
    """Draw new rows or pictures that look like those of the fit, conditioned on evidence where it is given.

    \b
    Example:
      begat sample penguins.safetensors -n 1000 --given "body_mass_g=4000..5000" --given sex=female --out rows.csv
    """
    fitted = options.loaded(model)
    if fitted.schema_.picture is not None:
        from begat.cli import pictures

        pictures.sample(fitted, n, given, seed, out, as_json)
        return
    output.table_place(out, separator)
    with output.working("drawing"):
        rows = fitted.sample(n, given=evidence.parse(given, fitted.schema_), random_state=seed)
    answer = output.put_rows(rows, out, as_json, fitted.schema_, separator)
    if as_json:
        output.print_json(answer)
    elif out != "-":
        output.say(f"Wrote {output.counted(n, 'row')} to {out}.")
