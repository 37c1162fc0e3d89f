"""begat data: the tables and pictures with a name."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from begat.cli import options, output


def data(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="What to write.", show_default=False)] = None,
    out: options.DrawnOut = "-",
    as_json: options.AsJson = False,
) -> None:
    """List tables and pictures with a name: licence, size, source, and how to get what is absent. Or write one.

    \b
    Example:
      begat data penguins --out penguins.csv
    """
    from begat.codecs.catalogue import CATALOGUE, load

    if name is not None and name in CATALOGUE and CATALOGUE[name].kind == "pictures":
        from begat.cli import pictures
        from begat.codecs.read import read

        pictures.place(out)
        found = read(name)
        done = pictures.put(found.X, found.y, out, int(found.X.max()) + 1)
        if as_json:
            output.print_json({"out": out})
        else:
            output.say(f"{done} Licence: {CATALOGUE[name].licence}; {CATALOGUE[name].source}.")
        return
    if name is not None:
        output.table_place(out)
        frame: Any = load(name)
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
    rows = [
        [e.name, f"{e.rows:,}", f"{e.columns}{' pixels' * (e.kind == 'pictures')}", e.target or "", e.licence, e.source]
        for e in entries
    ]
    output.print_table(["name", "rows", "columns", "target", "licence", "source"], rows, right=(1, 2))
    absent = [e for e in entries if e.file is None]
    if absent:
        output.tell("Not on this machine; one line each brings them:")
    for e in absent:
        output.tell(f"  {e.name}: {e.how}")
