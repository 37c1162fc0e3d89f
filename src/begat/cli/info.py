"""begat info: what a table, a set of pictures or a model file is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from begat.cli import options, output, pictures
from begat.errors import BegatError
from begat.schema import Column, Schema

SUFFIX = ".safetensors"


def info(
    path: Annotated[
        str,
        typer.Argument(
            metavar="DATA|MODEL", help="A table or pictures, as for `begat fit`, or a model file.", show_default=False
        ),
    ],
    target: options.Target = None,
    kind: options.Kinds = None,
    drop: options.Drop = None,
    schema: options.SchemaFile = None,
    separator: options.Separator = None,
    encoding: options.Encoding = None,
    query: options.Query = None,
    size: options.Size = None,
    channels: options.Channels = None,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="FILE", help="Write the schema as a .json file to edit and pass to --schema."),
    ] = None,
    tree: Annotated[
        str | None,
        typer.Option("--tree", metavar="FILE", help="Draw the tree over the columns of a circuit, as a .png."),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Show what begat takes each column of a table for, and why; what pictures are; or what a model file holds.

    \b
    Example:
      begat info penguins --out penguins.schema.json
    """
    if out is not None:
        _check_place(out)
    if tree is not None:
        _picture(path, tree)
    if path.endswith(SUFFIX):
        _model(path, out, as_json)
        return
    data = options.Reading(target, kind, drop, schema, separator, encoding, query, size, channels).data(path)
    if data.schema.picture is not None:
        pictures.no_schema(out)
        if as_json:
            output.print_json(
                {"name": data.name, "pictures": len(data), "notes": data.notes, **pictures.facts(data.schema)}
            )
            return
        first, *more = pictures.about(data.schema)
        output.tell("\n".join([f"{data.name}: {len(data):,} {first}", *more]))
        output.notes(data.notes)
        return
    _write(data.schema, out)
    if as_json:
        output.print_json({"name": data.name, "rows": len(data), "notes": data.notes, "schema": data.schema.to_dict()})
        return
    output.tell(f"{data.name}: {output.counted(len(data), 'row')}, {output.counted(len(data.schema), 'column')}")
    shown = {f"{c.name}: {c.why}" for c in data.schema}
    output.notes([note for note in data.notes if note not in shown])
    _table(data.schema)
    if out is not None:
        output.say(f"Wrote the schema to {out}. Edit it and pass it back: begat fit {path} --schema {out} ...")


def _picture(path: str, tree: str) -> None:
    """The tree of a model file, where it has one."""
    from begat import load, plot_tree

    if not path.endswith(SUFFIX):
        raise BegatError(f"--tree draws the tree of a fitted model, which {path} is not; begat fit {path} first")
    if not tree.lower().endswith((".png", ".svg", ".pdf")):
        raise BegatError(f"--tree {tree!r} is no picture; name it {Path(tree).stem}.png")
    output.file_place(tree)
    plot_tree(load(path), tree)
    output.say(f"Drew the tree to {tree}.")


def _model(path: str, out: str | None, as_json: bool) -> None:
    from begat.estimators import FAMILIES, load
    from begat.estimators.store import peek

    header = peek(path, families=FAMILIES)
    model = load(path)  # long vocabularies are tensors, so the header alone does not tell the schema
    shown = model.schema_.picture is not None
    if shown:
        pictures.no_schema(out)
    _write(model.schema_, out)
    size = Path(path).stat().st_size
    if as_json:
        schema = pictures.facts(model.schema_) if shown else model.schema_.to_dict()
        output.print_json({**header, "schema": schema, "bytes": size})
        return
    output.tell(
        f"{path}: {header['family']}, written by begat {header['begat']} (format {header['format']}), {size:,} bytes"
    )
    output.tell(f"recipe: {_words(header.get('params', {}))}")
    output.tell(f"likelihood: {output.likelihood(model)}")
    for line in _held(_counted(header.get("rows", {}), model.schema_) if shown else header.get("rows", {})):
        output.tell(line)
    if shown:
        output.tell("\n".join(pictures.about(model.schema_)))
        return
    output.tell(f"target: {'none' if model.schema_.target is None else model.schema_.target}")
    _table(model.schema_)


NAMED = 40
"""Names in a line, at most."""
LINES, FEW = 60, 8
"""Columns of which each has a line; of more, those of one kind share one if they are more than so few."""
HELD = {
    "number": "learnt from {} rows",
    "points": "it holds every value of {}",
    "extremes": "it holds the least and the greatest value of {}",
    "edges": "it holds points between values, and the outermost, of {}",
    "codes": "it holds numbers that repeat in {}",
    "levels": "it holds every level of {}",
    "rare": "it holds levels of fewer than 5 rows: {}",
}
"""What of the training rows a model file has, in words."""


def _held(rows: dict[str, Any]) -> list[str]:
    """A line for each thing of the training rows that a model file says it has."""
    said = dict(rows)
    if isinstance(rare := said.get("rare"), dict):
        said["rare"] = [
            f"{v['count']} of {column} ({_words(v['names'])})"
            for column, v in rare.items()
            if isinstance(v, dict) and {"count", "names"} <= set(v)
        ]
    return [HELD.get(k, f"{k}: {{}}").format(_words(v)) for k, v in said.items() if v not in (None, [], {}, "")]


def _counted(rows: dict[str, Any], schema: Schema) -> dict[str, Any]:
    """What of the rows a model file has, with pixels counted instead of named."""
    pixels, made = {c.name for c in schema.features}, dict(rows)
    for key, names in rows.items():
        if isinstance(names, list) and (inside := [n for n in names if n in pixels]):
            made[key] = [output.counted(len(inside), "pixel"), *(n for n in names if n not in pixels)]
    if isinstance(rare := rows.get("rare"), dict):
        made["rare"] = {name: held for name, held in rare.items() if name not in pixels}
    return made


def _words(value: Any) -> str:
    """A JSON value as a person says it: "alpha: 1; leaves: auto"; what is empty is left out."""
    if isinstance(value, dict) and set(value) == {"pairs"}:  # a mapping among the parameters
        return ", ".join(f"{_words(key)} {_words(each)}" for key, each in value["pairs"])
    if isinstance(value, dict):
        return "; ".join(f"{k}: {_words(v)}" for k, v in value.items() if v not in (None, [], {}, ""))
    if isinstance(value, list):
        return output.listed([_words(each) for each in value], NAMED)
    return f"{value:g}" if isinstance(value, float) and value < 1e6 else str(value)


def _check_place(out: str) -> None:
    output.file_place(out)
    if not out.endswith(".json"):  # so that no table or model is overwritten
        raise BegatError(f"--out {out!r} would be a schema; name it {Path(out).stem}.schema.json")


def _write(schema: Schema, out: str | None) -> None:
    """The schema as a file, whole or not at all: the one that it replaces may have been edited by hand."""
    if out is not None:
        from begat.estimators.whole import whole

        with whole(out) as part:
            schema.save(part)


def _table(schema: Schema) -> None:
    groups: dict[Any, list[Column]] = {}
    for column in schema.columns:
        alone = len(schema) <= LINES or column.name == schema.target
        groups.setdefault(column.name if alone else (column.kind,), []).append(column)
    rows = []
    for group in groups.values():
        for part in [group] if len(group) > FEW else [[column] for column in group]:
            first, share = part[0], max(c.missing_share for c in part)
            kind = _kind(first) if len(part) == 1 else first.kind
            name = output.listed([c.name for c in part], 3)
            rows.append([name, kind, f"{share:.1%}" if share else "", first.example, first.why])
    output.print_table(["column", "kind", "missing", "example", "why"], rows, right=(2,))


def _kind(column: Column) -> str:
    """The kind and, in brackets, what of it is particular."""
    said = []
    if column.levels is not None:
        said.append(output.counted(len(column.levels), "level"))
    if column.grid is not None and column.kind == "decimal":
        said.append(output.counted(column.grid.decimals, "decimal"))
    if column.tick is not None:
        said.append(column.tick)
    if column.atoms:
        said.append(
            "special " + ", ".join(f"{a:g}" for a in column.atoms[:3]) + (", ..." if len(column.atoms) > 3 else "")
        )
    return column.kind + (f" ({'; '.join(said)})" if said else "")
