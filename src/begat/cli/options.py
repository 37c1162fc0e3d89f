"""The options that verbs share: one spelling, one help text, one meaning."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from begat.errors import BegatError, DataError, FileError, did_you_mean

if TYPE_CHECKING:
    from begat.codecs.data import Data, PictureData
    from begat.schema import Schema

DataPath = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A table: .csv .tsv .parquet .feather .json(l) .xlsx, a folder of Parquet, a database URL with --query, "
        "- for CSV on standard input; pictures: a folder of them, .npy or .npz; or a name from `begat data`.",
        show_default=False,
    ),
]
ModelPath = Annotated[
    str, typer.Argument(metavar="MODEL", help="A model file, as `begat fit` writes it.", show_default=False)
]
Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="COL",
        help="The column to predict. Of pictures, their labels unless --drop leaves them out.",
    ),
]
Kinds = Annotated[
    list[str] | None,
    typer.Option("--kind", metavar="COL=KIND", help="What a column is, such as zip=category. Repeat at will."),
]
Drop = Annotated[list[str] | None, typer.Option("--drop", metavar="COL", help="Leave a column out. Repeat at will.")]
Size = Annotated[
    str | None,
    typer.Option("--size", metavar="N|HxW", help="Pixels that pictures are scaled to, as 32 or 32x48."),
]
Channels = Annotated[
    int | None, typer.Option("--channels", metavar="N", help="Of pictures: 1 grey, 3 colours, 4 colours and alpha.")
]
SchemaFile = Annotated[
    str | None, typer.Option("--schema", metavar="FILE", help="A schema file, as `begat info DATA --out FILE` writes.")
]
Separator = Annotated[str | None, typer.Option("--separator", metavar="MARK", help="What separates the cells of text.")]
Separators = Annotated[
    str | None,
    typer.Option(
        "--separator",
        metavar="MARK",
        help="What separates the cells of text, in DATA and in what is written: ; or tab, say. DATA's is recognised "
        "and a comma is written unless this is given.",
    ),
]
SeparatorOut = Annotated[
    str | None,
    typer.Option(
        "--separator",
        metavar="MARK",
        help="What separates the cells of text that is written: ; or tab, say. A comma, in .tsv a tab, if not given.",
    ),
]
Unseen = Annotated[
    Literal["error", "unknown"] | None,
    typer.Option(
        "--unseen",
        help="A level that no training row had: an error, or unknown as a missing cell is. As the model says if not "
        "given.",
    ),
]
Encoding = Annotated[str | None, typer.Option("--encoding", metavar="NAME", help="How text is encoded, as cp1252.")]
Query = Annotated[str | None, typer.Option("--query", metavar="SQL", help="The rows to read where DATA is a database.")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="The same seed gives the same answer.")]
FreshSeed = Annotated[
    int | None, typer.Option("--seed", metavar="N", min=0, help="The same seed gives the same answer; none is fresh.")
]
Given = Annotated[
    list[str] | None,
    typer.Option(
        "--given", metavar="COL=VALUE", help='Evidence: age=40, "age=30..50", "age=65..", "job=a|b". Repeat at will.'
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A hyper-parameter: alpha=0.5, leaves=kde, leaves.age=kde, lean_on=None. Repeat.",
    ),
]
RowsOut = Annotated[
    str, typer.Option("--out", metavar="FILE", help="Where rows go: .csv .parquet ... by its ending, - for the screen.")
]
DrawnOut = Annotated[
    str,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Where rows go: .csv .parquet ... by its ending, - for the screen. Pictures go on one sheet (.png), in an "
        "array (.npy .npz) or into a new folder.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object, for machines; rows that --out writes are not in it.")
]


@dataclass(frozen=True)
class Reading:
    """How a person wants a table read."""

    target: str | None = None
    kinds: Sequence[str] | None = None
    drop: Sequence[str] | None = None
    schema: str | None = None
    separator: str | None = None
    encoding: str | None = None
    query: str | None = None
    size: str | None = None
    channels: int | None = None

    def data(self, path: str) -> Data | PictureData:
        """The table at the path, or the pictures."""
        from begat.codecs.read import read

        self._check(path)
        return read(
            path,
            self.target,
            schema=self._schema(),
            kinds=pairs(self.kinds, "--kind", "zip=category"),
            drop=tuple(self.drop or ()),
            separator=self.separator,
            encoding=self.encoding,
            query=self.query,
            size=sides(self.size),
            channels=self.channels,
        )

    def pictures(self, path: str, schema: Schema) -> PictureData:
        """The pictures at the path, for a model of pictures that was fitted under a schema."""
        from begat.codecs.read_pictures import read_pictures

        if self.encoding is not None or self.query is not None:
            option = "--query" if self.encoding is None else "--encoding"
            raise BegatError(f"{option} is for tables, but the model is of pictures; leave it out")
        self._check(path)
        return read_pictures(path, schema)

    def like(self, path: str, schema: Schema) -> Data:
        """The table at the path, its columns read as the columns of a schema that a model was fitted under."""
        from begat.codecs.read import read_like

        self._check(path)
        return read_like(path, schema, separator=self.separator, encoding=self.encoding, query=self.query)

    def usual(self, path: str) -> str:
        """The family that is fitted to what is at the path where none is named."""
        from begat.codecs.read_pictures import holds_pictures

        self._check(path)
        return "diffusion" if holds_pictures(path) else "circuit"

    def source(self, path: str) -> tuple[Any, Schema]:
        """The rows of a file that is read in pieces, and its schema."""
        from begat.codecs.scan import scan
        from begat.codecs.source import open_source

        if self.separator or self.encoding or self.query:
            raise DataError(
                "--stream reads Parquet and UTF-8 text with commas; leave --separator, --encoding, --query out"
            )
        self._check(path)
        rows = open_source(path)
        kinds = pairs(self.kinds, "--kind", "zip=category")
        return rows, scan(rows, kinds=kinds, drop=tuple(self.drop or ()), target=self.target, schema=self._schema())

    def _check(self, path: str) -> None:
        """Refuse a link whose file is gone, a query of what is no database, and to drop every column."""
        if os.path.islink(path) and not os.path.exists(path):
            raise FileError(f"{path} is a link to {os.readlink(path)}, which cannot be found; name the file itself")
        if self.query is not None and "://" not in path:
            raise BegatError(f"--query is for a database (sqlite:///shop.db), which {path} is not; leave it out")
        names = _names(path) if self.drop else []
        if names and set(names) <= set(self.drop or ()):
            raise DataError(f"--drop names every column of {path}; keep at least one")

    def _schema(self) -> Schema | None:
        from begat.schema import Schema

        return None if self.schema is None else Schema.load(self.schema)


def _names(path: str) -> list[str]:
    """The columns of text and Parquet, whose rows are not read for it; none of what else there is."""
    from begat.codecs.source import open_source

    try:
        return [str(name) for name in open_source(path).names]
    except BegatError:
        return []


def loaded(path: str, unseen: str | None = None) -> Any:
    """The model of a file, that takes levels without training rows as is said."""
    from begat import load

    model = load(path)
    if unseen is not None:
        if "unseen" not in model.get_params(deep=False):
            raise BegatError(f"--unseen: {type(model).__name__} has no such setting; leave it out")
        model.set_params(unseen=unseen)
    return model


def sides(text: str | None) -> int | tuple[int, int] | None:
    """A size as a person types it: 32, or 32x48 for height and width."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.strip().isdecimal() for part in parts):
        raise DataError(f"--size {text!r} is no size; write --size 32, or 32x48 for height and width")
    return int(parts[0]) if len(parts) == 1 else (int(parts[0]), int(parts[1]))


def pairs(options: Sequence[str] | None, option: str, example: str) -> dict[str | int, str]:
    """NAME=VALUE options as a mapping; the last "=" divides, because a column's name may have one too."""
    made: dict[str | int, str] = {}
    for text in options or ():
        name, mark, value = text.rpartition("=")
        if not mark or not name or not value:
            raise DataError(f"{option} {text!r} is not NAME=VALUE; write {option} {example}")
        if name in made:
            raise DataError(f"{option} names {name!r} twice; keep one")
        made[name] = value
    return made


def settings(options: Sequence[str] | None, estimator: type, reserved: Sequence[str] = ()) -> dict[str, Any]:
    """KEY=VALUE options as the keywords of an estimator; KEY.COLUMN=VALUE sets it for one column.

    Values are JSON where they can be (0.5, true, [0.2, 0.8]) and text otherwise. An unknown key is an error.
    """
    known = [name for name in signature(estimator).parameters if name not in reserved]
    made: dict[str, Any] = {}
    for text in options or ():
        left, mark, value = text.partition("=")
        key, dot, column = left.partition(".")
        if not mark or not value:
            raise DataError(f"--set {text!r} is not KEY=VALUE; write --set alpha=0.5")
        if dot:  # a column's name may have "=" in it: the last one divides
            left, _, value = text.rpartition("=")
            column = left.partition(".")[2]
        if key not in known:
            raise DataError(f"--set {key}: {estimator.__name__} has no such hyper-parameter{did_you_mean(key, known)}")
        if (key in made) and not (dot and isinstance(made[key], dict)):
            raise DataError(f"--set gives {key!r} twice; keep one")
        if dot:
            made.setdefault(key, {})[column] = _value(value)
        else:
            made[key] = _value(value)
    return made


def _value(text: str) -> Any:
    if text == "None":  # as the keyword is written in Python
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # no JSON, or a number of more digits, or lists of more depth, than any has
        return text
