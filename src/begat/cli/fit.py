"""begat fit: learn a table, or pictures, and write the model to one file."""

from __future__ import annotations

import re
from dataclasses import replace
from inspect import signature
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from begat.cli import options, output
from begat.errors import BegatError, did_you_mean

if TYPE_CHECKING:
    from begat.codecs.data import Data, PictureData
    from begat.schema import Schema


def fit(
    data: options.DataPath,
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="The model file to write, as m.safetensors.")],
    target: options.Target = None,
    family: Annotated[
        str | None,
        typer.Option(
            "--family",
            metavar="NAME",
            help="The kind of model: circuit (of tables, if not given), diffusion (of pictures, if not given), "
            "autoregressive, flow, vae, gan, autoencoder or naive-bayes.",
        ),
    ] = None,
    setting: options.Settings = None,
    kind: options.Kinds = None,
    drop: options.Drop = None,
    schema: options.SchemaFile = None,
    separator: options.Separator = None,
    encoding: options.Encoding = None,
    query: options.Query = None,
    size: options.Size = None,
    channels: options.Channels = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Read the file in pieces: for one that is larger than memory.")
    ] = False,
    checkpoint: Annotated[
        str | None,
        typer.Option("--checkpoint", metavar="DIR", help="A folder to leave the fit's state in, and to go on from."),
    ] = None,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
) -> None:
    """Learn the joint distribution of a table, or of pictures, and write it to one file.

    Pictures in sub-folders have these as labels; --target names others, --drop label leaves them out.

    \b
    Example:
      begat fit penguins --target species --set units=16 --out penguins.safetensors
    """
    from begat.codecs.data import PictureData
    from begat.estimators import FAMILIES
    from begat.estimators.store import destination

    families = {re.sub("(?<=[a-z])(?=[A-Z])", "-", name).lower(): made for name, made in FAMILIES.items()}
    if family is not None and family not in families:
        raise BegatError(f"the family {family!r} does not exist{did_you_mean(family, families)}")
    place = destination(out)  # now, not after a long fit
    reading = options.Reading(target, kind, drop, schema, separator, encoding, query, size, channels)
    family = family or reading.usual(data)
    estimator = families[family]
    chosen = options.settings(setting, estimator, reserved=("schema", "random_state"))
    started = perf_counter()
    if stream:
        rows, known = reading.source(data)
        notes: tuple[str, ...] = ()
        goal: Any = known.target
    else:
        table = _with_target(reading.data(data))
        known, notes = table.schema, table.notes
        rows, goal = (table.X, table.y) if isinstance(table, PictureData) else (table.frame, known.target)
    if not any(column.scored for column in known):
        kinds = output.listed([f"{column.name} is {column.kind}" for column in known])
        raise BegatError(f"nothing to learn: {kinds}; say what they are, as --kind {known.names[0]}=category")
    notes = (*notes, *_repeating(known, rows, goal))
    model = estimator(**chosen, schema=known, random_state=seed)
    accepted = signature(model.fit).parameters
    if checkpoint is not None and "checkpoint" not in accepted:
        raise BegatError(f"--checkpoint: a fit of {family} is one pass over the rows; leave it out")
    more = {} if checkpoint is None else {"checkpoint": checkpoint}
    with output.epochs("fitting") as tell:
        model.fit(rows, goal, **more, **({"tell": tell} if "tell" in accepted else {}))
    model.save(out)
    seconds, large = perf_counter() - started, place.stat().st_size
    if as_json:
        output.print_json(_facts(model, out, large, len(rows), seconds, notes))
        return
    output.notes(notes)
    if ended := getattr(model, "ended_", ""):
        output.tell(f"The fit was {ended}; it kept its best state so far.")
    if known.picture is None:
        scored = output.counted(sum(column.scored for column in known.columns), "column")
        output.tell(f"Learnt {output.counted(len(rows), 'row')} of {scored} in {seconds:.1f} s.")
    else:
        from begat.codecs.pictures import said

        what = "without labels" if known.target is None else f"with labels ({known.target})"
        output.tell(f"Learnt {len(rows):,} {said(known)}, {what}, in {seconds:.1f} s.")
    output.tell(output.likelihood(model))
    ask = f"{out} -n 5" if known.picture is None else f"{out} -n 16 --out sheet.png"
    output.tell(f"Wrote {out} ({large / 1024:,.0f} KB). Ask it: begat sample {ask}")


def _with_target(table: Data | PictureData) -> Data | PictureData:
    """The rows whose target is known, and a note of how many are not."""
    from begat.codecs.data import PictureData

    target = table.schema.target
    if isinstance(table, PictureData) or target is None or not table.frame[target].isna().any():
        return table
    here = table.frame[target].notna()
    without = output.counted(int((~here).sum()), "row")
    return replace(
        table,
        frame=table.frame[here].reset_index(drop=True),
        schema=table.schema.change(target, missing=False, missing_share=0.0),
        notes=(*table.notes, f"left out: {without} without {target}"),
    )


def _repeating(schema: Schema, rows: Any, goal: Any) -> list[str]:
    """Refuse a target of which every class has one row; a note where most have."""
    target, n = schema.target, len(rows)
    if target is None or not schema[target].coded or n < 2:
        return []
    # A schema may declare levels that no row has; of a file that is read in pieces they are what was found.
    shown = schema.picture is not None
    classes = rows[target].nunique() if hasattr(rows, "columns") else len(schema[target].levels or ())
    if shown and classes >= n:
        raise BegatError(f"every picture has a {target} of its own; leave them out: --drop {target}")
    if classes >= n:
        raise BegatError(f"the target {target!r} has another value in every row: choose another target")
    few = f"the target {target!r} has {classes:,} classes in {n:,} rows"
    return [f"{few}; most classes have one row to learn from"] if 2 * classes > n else []


def _facts(model: Any, out: str, size: int, rows: int, seconds: float, notes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "model": out,
        "family": type(model).__name__,
        "rows": rows,
        "target": model.schema_.target,
        "classes": [str(c) for c in getattr(model, "classes_", ())],
        "leaves": {str(name): leaf for name, leaf in model.leaves_.items()},
        "likelihood": output.likelihood(model),
        "bytes": size,
        "seconds": seconds,
        "ended": getattr(model, "ended_", ""),
        "notes": notes,
    }
