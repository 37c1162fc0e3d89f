"""Tables from a database through its URL."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from begat.codecs.records import from_columns
from begat.codecs.request import Request
from begat.errors import DataError, FileError, MissingDependency, did_you_mean

if TYPE_CHECKING:
    import pandas as pd


def from_database(url: str, asked: Request) -> tuple[pd.DataFrame, str]:
    """The rows of a query or a table, and a short name.

    Nothing is written: SQLite is opened for queries only, other databases are asked only what begins as a query does,
    and the transaction is rolled back.

    FileError where the database cannot be reached, DataError where the query fails or names nothing.
    """
    try:
        import sqlalchemy as sa
    except ImportError:
        raise MissingDependency("sqlalchemy", "sql", "reading a database") from None
    table, query = asked.table, asked.query
    if (table is None) == (query is None):
        raise DataError('a database needs query="SELECT ..." or table="name", one of them')
    try:
        address = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise FileError("the database URL is malformed; expected dialect://user:password@host/database") from None
    shown = address.render_as_string(hide_password=True)
    file = address.database if address.get_backend_name() == "sqlite" else None
    if file and file != ":memory:" and not Path(file).is_file():
        raise FileError(f"no database file {file}")
    try:
        engine = sa.create_engine(address)
    except ImportError as error:
        raise FileError(f"{shown} needs the package {error.name!r}: pip install {error.name}") from None
    except sa.exc.SQLAlchemyError as error:
        raise FileError(f"{shown} cannot be opened: {_line(error)}") from None
    try:
        with engine.connect() as connection:
            if query and not _reads(query):
                raise DataError("the query is no SELECT; begat reads databases and never writes to them")
            if file:  # where a SELECT could call what writes
                connection.exec_driver_sql("PRAGMA query_only = ON")
            if table is not None:
                known = [*sa.inspect(connection).get_table_names(), *sa.inspect(connection).get_view_names()]
                if table not in known:
                    raise DataError(f"{shown} has no table {table!r}{did_you_mean(table, known)}")
                statement: sa.Executable = sa.select(sa.text("*")).select_from(sa.table(table))
            else:
                statement = sa.text(query or "")
            result = connection.execute(statement)
            if not result.returns_rows:
                raise DataError("the query returns no rows; expected a SELECT")
            names = list(result.keys())
            cells = result.fetchall() if asked.rows is None else result.fetchmany(asked.rows)
    except sa.exc.SQLAlchemyError as error:
        raise DataError(f"{shown}: {_line(error)}") from None
    finally:
        engine.dispose()
    if not cells:
        raise DataError(f"{shown}: the query gives columns but no rows")
    frame = from_columns(names, list(zip(*cells, strict=True)), shown, asked)
    return frame, table or (Path(file).stem if file else address.database or address.get_backend_name())


def _reads(query: str) -> bool:
    """Whether a statement begins as a query does."""
    words = re.sub(r"(--[^\n]*\n|/\*.*?\*/|[\s(])+", " ", query, flags=re.DOTALL).split()
    return bool(words) and words[0].lower() in ("select", "with", "values", "table", "show", "explain")


def _line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
