"""begat compare: models of a table, or of pictures, side by side, between a floor and a ceiling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from begat.cli import options, output
from begat.errors import FileError

if TYPE_CHECKING:
    from begat.compare import Progress

INTERRUPTED = 130


def compare(
    data: options.DataPath,
    target: options.Target = None,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="DIR", help="A folder for results.json, compare.png and the fitted models."),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME", help="Only this model; repeat at will. All otherwise."),
    ] = None,
    synthetic: Annotated[
        list[str] | None, typer.Option("--synthetic", metavar="FILE", help="Somebody's synthetic rows, as a row more.")
    ] = None,
    test: Annotated[
        str | None, typer.Option("--test", metavar="FILE", help="Held-out rows, the target among them; no split then.")
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", metavar="COL", help="Hold out whole groups: no value on both sides.")
    ] = None,
    time: Annotated[
        str | None, typer.Option("--time", metavar="COL", help="Hold out the last fifth in the order of this column.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", metavar="M", help="No row is begun after so many minutes.")
    ] = None,
    kind: options.Kinds = None,
    drop: options.Drop = None,
    schema: options.SchemaFile = None,
    separator: options.Separator = None,
    encoding: options.Encoding = None,
    query: options.Query = None,
    size: options.Size = None,
    channels: options.Channels = None,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
) -> None:
    """Fit models of a table or of pictures, judge them on held-out rows, and say which to trust and how far.

    Ctrl-C ends it and keeps what is finished.

    \b
    Example:
      begat compare penguins --target species --out report
    """
    import begat

    output.folder_place(out)
    table = options.Reading(target, kind, drop, schema, separator, encoding, query, size, channels).data(data)
    output.notes(table.notes)
    held_out: Any = None
    if test is not None:
        reading = options.Reading(separator=separator, encoding=encoding)
        if table.schema.picture is not None:
            held_out = reading.pictures(test, table.schema)
        else:
            held_out = reading.like(test, table.schema).frame
    with output.following() as follow:

        def told(progress: Progress) -> None:
            follow(progress.name, progress.step, progress.done)

        report = begat.compare(
            table,
            models=models or "default",
            synthetic=synthetic,
            test=held_out,
            group=group,
            time=time,
            minutes=minutes,
            out=out,
            seed=seed,
            announce=lambda plan: output.say(f"{plan}\n"),
            progress=told,
        )
    if as_json:
        output.print_json(report.to_dict())
    else:
        output.tell(report)
        if out is not None and not report.unwritten:
            drawn = "" if report.plan.picture is None else f", {out}/samples.png"
            output.say(f"\nWrote {out}/results.json, {out}/compare.png{drawn} and the models beside them.")
    if report.unwritten:
        raise FileError(report.unwritten)
    if report.interrupted:
        raise typer.Exit(INTERRUPTED)
