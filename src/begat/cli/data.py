"""begat data: the tables with a name."""

from __future__ import annotations

from typing import Annotated

import typer

from begat.cli import options, output


def data(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The table to write.", show_default=False)] = None,
    out: options.RowsOut = "-",
    as_json: options.AsJson = False,
) -> None:
    """List the tables with a name: licence, size, source, and how to get what is absent. With a name, write it.

    \b
    Example:
      begat data penguins --out penguins.csv
    """
    from begat.codecs.catalogue import CATALOGUE, load

    if name is not None:
        output.table_place(out)
        frame = load(name)
        answer = output.put_rows(frame, out, as_json)
        if as_json:
            output.print_json(answer)
        elif out != "-":
            output.say(
                f"Wrote {len(frame):,} rows to {out}. Licence: {CATALOGUE[name].licence}; {CATALOGUE[name].source}."
            )
        return
    if as_json:
        shown = ("name", "kind", "rows", "columns", "target", "licence", "source", "how")
        output.print_json(
            [{**{k: getattr(e, k) for k in shown}, "here": e.file is not None} for e in CATALOGUE.values()]
        )
        return
    entries = list(CATALOGUE.values())
    rows = [[e.name, f"{e.rows:,}", str(e.columns), e.target or "", e.licence, e.source] for e in entries]
    output.print_table(["name", "rows", "columns", "target", "licence", "source"], rows, right=(1, 2))
    absent = [e for e in entries if e.file is None]
    if absent:
        output.tell("Not on this machine; one line each brings them:")
    for e in absent:
        output.tell(f"  {e.name}: {e.how}")
