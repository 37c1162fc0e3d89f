"""What a person sees: answers on standard output, progress on standard error."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Timer
from time import monotonic
from typing import TYPE_CHECKING, Any

from begat.errors import COMMANDS, FileError, NotOffered, visible

if TYPE_CHECKING:
    import pandas as pd

    from begat.schema import Schema

PATIENCE = 2.0
"""Seconds after which a person is told that work goes on."""
WIDTH = 120
"""Columns of text where the screen's width is unknown."""


def tell(text: object) -> None:
    """An answer on standard output."""
    print("\n".join(map(visible, str(text).split("\n"))))


def print_json(value: Any) -> None:
    """One JSON value; numbers that are not finite become null, what JSON does not know becomes text."""
    text = json.dumps(_plain(value), ensure_ascii=False, indent=1, allow_nan=False)
    print("\n".join(COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in text.split("\n")))


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)


def put_rows(
    frame: pd.DataFrame, out: str, as_json: bool, schema: Schema | None = None, separator: str | None = None
) -> dict[str, Any]:
    """Write rows to a file or on the screen, unless JSON goes there: the entry of a JSON answer that has them."""
    from begat.codecs.write import write

    if as_json and out == "-":
        return {"rows": records(frame)}
    write(frame, out, schema, separator=separator)
    return {"out": out}


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as JSON objects: missing cells are null, dates ISO text."""
    made: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", date_format="iso", double_precision=15))
    return made


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Rows of text under a header; the columns in `right` are aligned to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(header):
        table.add_column(_literal(name), justify="right" if i in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_literal(cell) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    console.print(table)


def _literal(text: str) -> Any:
    """Text that a person's data may hold, with nothing in it taken for a style or a command."""
    from rich.text import Text

    return Text(visible(text))


def say(text: str) -> None:
    """Lines on standard error, so that standard output holds only the answer."""
    print("\n".join(map(visible, text.split("\n"))), file=sys.stderr)


def notes(found: Sequence[str], most: int = 40) -> None:
    """What a person would be surprised by, each once, on standard error; the first of very many."""
    once = list(dict.fromkeys(found))
    for note in once[:most]:
        say(f"note: {visible(note)}")
    if len(once) > most:
        say(f"note: {len(once) - most:,} more of these are not shown")


def likelihood(model: Any) -> str:
    """What the log-probability of a model is, or that it has none and why."""
    try:
        return str(model.likelihood)
    except NotOffered as error:
        return str(error)


def counted(n: int, noun: str) -> str:
    """A number of things: 1 row, 2,000 rows."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def listed(names: Sequence[object], most: int = 6) -> str:
    """Names in words, the first few of many."""
    return ", ".join(map(str, names[:most])) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def table_place(out: str | None, separator: str | None = None) -> None:
    """Refuse, before any work, a place where no table can be written, and a separator that is none."""
    if separator is not None:
        from begat.codecs.delimited import mark

        mark(separator)
    if out is not None and out != "-":
        from begat.codecs.write import destination

        destination(out)
        file_place(out)


def file_place(out: str | None) -> None:
    """Refuse, before any work, a place where no file can be written."""
    if out is not None:
        from begat.codecs.stream import place

        folder = place(out).parent
        if not os.access(folder, os.W_OK | os.X_OK):
            raise FileError(f"the folder {folder} may not be written to; give another one")


def folder_place(out: str | None) -> None:
    """Refuse, before any work, a place where no folder can be made."""
    if out is not None:
        from begat.estimators import whole

        whole.folder_place(out)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Say that work goes on if it takes longer than a person's patience, on a screen only."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    status = Console(stderr=True).status(f"{what} ...")
    timer = Timer(PATIENCE, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        status.stop()


@contextmanager
def epochs(what: str) -> Iterator[Callable[[int, int, float | None], None]]:
    """As `working`, and a function of (epoch, epochs, held-out score) that says how far it is and how long it takes."""
    if not sys.stderr.isatty():
        yield lambda epoch, most, score: None
        return
    from rich.console import Console

    started = monotonic()
    status = Console(stderr=True).status(f"{what} ...")
    timer = Timer(PATIENCE, status.start)
    timer.daemon = True
    timer.start()

    def tell(epoch: int, most: int, score: float | None) -> None:
        left = (monotonic() - started) / epoch * (most - epoch)
        gain = "" if score is None else f", {score:.3f} nats per row over independent columns"
        status.update(f"{what}: epoch {epoch} of {most}{gain}, at most {left:.0f} s left")

    try:
        yield tell
    finally:
        timer.cancel()
        status.stop()


@contextmanager
def following() -> Iterator[Callable[[str, str, float], None]]:
    """A function of (name, step, share done): one moving line on a screen, a line for each name elsewhere."""
    if not sys.stderr.isatty():
        last = [""]

        def line(name: str, step: str, done: float) -> None:
            if name and name != last[0]:
                last[0] = name
                say(f"{done:4.0%}  {name}")

        yield line
        return
    from rich.console import Console

    with Console(stderr=True).status("starting ...") as status:

        def move(name: str, step: str, done: float) -> None:
            status.update(_literal(f"{done:4.0%}  {name}: {step}" if name else step))

        yield move
