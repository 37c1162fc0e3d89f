"""The border with containers: frames, arrays and lists go in as columns, and come out as the kind they were."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from begat.codecs import pictures
from begat.codecs.cells import Container, cells
from begat.codecs.in_numpy import stacked, to_numpy
from begat.errors import DataError


def as_frame(X: Any) -> Any:
    """X as a pandas frame, a polars frame or a two-dimensional array; of pictures, with their pixels as columns.

    Taken: those three, pictures (codecs.pictures), a pyarrow table, a structured array, a mapping of columns, a list of
    mappings, a list of rows, and whatever has `to_pandas`. DataError: sparse, one-dimensional or empty input, ragged
    rows, columns that share a name.
    """
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    if (pandas and isinstance(X, pandas.DataFrame)) or (polars and isinstance(X, polars.DataFrame)):
        return _checked(X)
    if polars and isinstance(X, polars.LazyFrame):
        return _checked(X.collect())
    if hasattr(X, "toarray") and hasattr(X, "nnz"):
        raise DataError("Sparse input is not supported: X is a sparse matrix; pass X.toarray()")
    if (shown := pictures.array_of(X)) is not None:
        return _checked(pictures.flat(shown))
    if isinstance(X, np.ma.MaskedArray):
        return _checked(_unmasked(X))
    if isinstance(X, np.ndarray):
        return _checked(_frame_of(X) if X.dtype.names else np.asarray(X))
    if hasattr(X, "to_pandas"):
        return as_frame(X.to_pandas())
    if isinstance(X, Mapping):
        if polars and any(isinstance(c, polars.Series) for c in X.values()):
            return _checked(polars.DataFrame(dict(X)))
        return _checked(_frame_of(dict(X)))
    if hasattr(X, "__array__"):
        return as_frame(np.asarray(X))
    if isinstance(X, (str, bytes)) or not isinstance(X, Sequence):
        raise DataError(f"X is {type(X).__name__}; expected a frame, a two-dimensional array or a mapping of columns")
    rows = list(X)
    if rows and all(isinstance(r, Mapping) for r in rows):
        return _checked(_frame_of(rows))
    return _checked(_array_of(rows))


def _frame_of(source: Any) -> Any:
    import pandas as pd

    try:
        return pd.DataFrame(source)
    except UnicodeEncodeError:  # of which `cells` says where it is
        return pd.DataFrame(source, dtype=object)
    except (ValueError, TypeError) as error:
        raise DataError(f"the columns do not make a table: {str(error).splitlines()[0]}") from None


def _unmasked(X: np.ma.MaskedArray) -> Any:
    """NaN where numbers are masked, None where others are."""
    if X.dtype.names:
        return _frame_of({name: _unmasked(X[name]) for name in X.dtype.names})
    if X.dtype.kind in "biuf":
        return np.where(np.ma.getmaskarray(X), np.nan, X.data.astype(np.float64))
    made = X.data.astype(object)
    made[np.ma.getmaskarray(X)] = None
    return made


def _array_of(rows: list[Any]) -> np.ndarray:
    """Rows of plain numbers as a number array; with words among them an object array, so that 5 does not become "5"."""
    try:
        array = np.asarray(rows)
    except ValueError:
        sizes = sorted({len(r) if hasattr(r, "__len__") else 1 for r in rows})
        raise DataError(f"rows of different lengths ({', '.join(map(str, sizes[:5]))}); give each the same") from None
    if array.dtype.kind in "USO" and array.ndim == 2:
        exact = np.empty(array.shape, dtype=object)
        for i, row in enumerate(rows):
            for j, cell in enumerate(row):
                exact[i, j] = cell
        return exact
    return array


def _checked(X: Any) -> Any:
    if X.ndim != 2 if isinstance(X, np.ndarray) else False:
        hint = (
            "Reshape your data either using array.reshape(-1, 1) if it has a single feature "
            "or array.reshape(1, -1) if it contains a single sample."
        )
        raise DataError(f"Expected 2D array, got {X.ndim}D array instead: shape {X.shape}. {hint}")
    n, width = X.shape
    if width == 0:
        raise DataError(f"0 feature(s) (shape=({n}, 0)) while a minimum of 1 is required.")
    if n == 0:
        raise DataError(f"0 sample(s) (shape=(0, {width})) while a minimum of 1 is required: the table has no rows")
    if not isinstance(X, np.ndarray):
        seen: set[str | int] = set()
        for name in names(X):
            if name in seen:
                raise DataError(f"two columns share the name {name!r}; give each column a name of its own")
            seen.add(name)
    return X


def container(X: Any) -> Container:
    """The kind of frame that X is, or is taken as."""
    X = _settled(X)
    if isinstance(X, np.ndarray):
        return "numpy"
    return "polars" if type(X).__module__.split(".")[0] == "polars" else "pandas"


def _settled(X: Any) -> Any:
    """X as `as_frame` returns it, which is not asked twice."""
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    known = (isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.names is None) or (
        (pandas and isinstance(X, pandas.DataFrame)) or (polars and isinstance(X, polars.DataFrame))
    )
    return X if known else as_frame(X)


def names(X: Any) -> tuple[str | int, ...]:
    """The names of the columns: text and whole numbers stay, others become text; an array has x0, x1, ..."""
    X = _settled(X)
    if isinstance(X, np.ndarray):
        return tuple(f"x{i}" for i in range(X.shape[1]))
    return tuple(int(n) if isinstance(n, (int, np.integer)) and not isinstance(n, bool) else str(n) for n in X.columns)


def named(X: Any, wanted: Sequence[str | int]) -> Any:
    """X under these names of its columns; an array whose names they are not becomes a pandas frame."""
    if tuple(wanted) == names(X):
        return X
    if container(X) == "polars":
        return X.rename(dict(zip(X.columns, map(str, wanted), strict=True)))
    import pandas as pd

    return pd.DataFrame(X, columns=list(wanted)) if isinstance(X, np.ndarray) else X.set_axis(list(wanted), axis=1)


def length(X: Any) -> int:
    """How many rows."""
    return int(_settled(X).shape[0])


def column(X: Any, i: int) -> Any:
    """Column number i as its container holds it: a series, or a one-dimensional array."""
    X = _settled(X)
    if isinstance(X, np.ndarray):
        return X[:, i]
    return X.to_series(i) if container(X) == "polars" else X.iloc[:, i]


def columns(X: Any) -> list[Any]:
    """All columns as their container holds them."""
    X = _settled(X)
    if isinstance(X, np.ndarray):
        return list(X.T)
    return X.get_columns() if container(X) == "polars" else [series for _, series in X.items()]


def by_columns(X: Any) -> Any:
    """The same table with every column in one piece of memory: rows of an array are turned in one go."""
    return np.asfortranarray(X) if isinstance(X, np.ndarray) else X


def block(X: Any, at: Sequence[int]) -> np.ndarray | None:
    """Columns at these places as an (n, R) view of the frame's own memory, all of one number type, or None."""
    X = _settled(X)
    if isinstance(X, np.ndarray):
        view = X if list(at) == list(range(X.shape[1])) else None
    elif container(X) == "pandas" and at and list(at) == list(range(at[0], at[0] + len(at))):
        part, first = X.iloc[:, at[0] : at[0] + len(at)], X.iloc[:, at[0]].dtype
        alike = isinstance(first, np.dtype) and all(t == first for t in part.dtypes)
        view = part.to_numpy() if alike else None
    else:
        view = None
    plain = view is not None and view.dtype.isnative and view.dtype.kind in "iuf" and view.dtype.itemsize <= 8
    return view if plain else None


def build(kind: Container, names: Sequence[str | int], columns: Sequence[Any]) -> Any:
    """A frame of this kind from columns (`Cells`, series, arrays), dtypes restored; an array drops the names."""
    made = [cells(c, n) for c, n in zip(columns, names, strict=True)]
    if kind == "numpy":
        return stacked([to_numpy(c) for c in made])
    if kind == "polars":
        import polars as pl

        from begat.codecs.in_polars import to_polars

        return pl.DataFrame([to_polars(c, str(n)) for n, c in zip(names, made, strict=True)])
    import pandas as pd

    from begat.codecs.in_pandas import to_pandas

    frame = pd.DataFrame({i: to_pandas(c) for i, c in enumerate(made)}, copy=False)
    frame.columns = pd.Index(list(names))
    return frame
