"""Arrow tables (Parquet, Feather) as pandas frames, whoever wrote them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from begat.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

EXACT = 2**53
"""Whole numbers up to here are exact in float64."""


def to_frame(table: pa.Table, label: str) -> pd.DataFrame:
    """The table as a pandas frame with a fresh index.

    dtypes that pandas recorded are restored. Whole numbers with missing cells become float64 where that is exact and
    Int64 otherwise, decimals become float64, dates datetime64, an index that pandas stored without a name is left out.
    DataError names the column that holds lists, structures or bytes.
    """
    import pandas as pd
    import pyarrow as pa

    recorded, index = _recorded(table.schema)
    table = table.drop_columns([n for n in index if n.startswith("__index_level_") and n in table.column_names])
    for i, field in enumerate(table.schema):
        plain = _plain_type(field.type)
        if plain is None:
            raise DataError(
                f"{label}: column {field.name!r} holds {field.type}, not single values; leave it out with "
                f"drop=[{field.name!r}]"
            )
        if plain != field.type:
            table = table.set_column(i, pa.field(field.name, plain), table.column(i).cast(plain, safe=False))
    if recorded:
        meta = json.dumps({**recorded, "index_columns": []}).encode()
        table = table.replace_schema_metadata({b"pandas": meta})
    try:
        frame = table.to_pandas(date_as_object=False, ignore_metadata=not recorded)
    except (KeyError, TypeError, AttributeError, ValueError, pa.ArrowException):
        # What pandas recorded does not fit the columns (a file edited by something else): the columns count.
        frame = table.replace_schema_metadata(None).to_pandas(date_as_object=False)
    for i, field in enumerate(table.schema):
        if not table.column(i).null_count or isinstance(frame.dtypes.iloc[i], pd.api.extensions.ExtensionDtype):
            continue
        if pa.types.is_boolean(field.type):
            frame.isetitem(i, frame.iloc[:, i].astype("boolean"))
        elif pa.types.is_integer(field.type) and frame.iloc[:, i].abs().max() >= EXACT:
            whole = {pa.int64(): pd.Int64Dtype(), pa.uint64(): pd.UInt64Dtype()}
            frame.isetitem(i, table.column(i).to_pandas(types_mapper=whole.get))
    return frame.reset_index(drop=True)


def _recorded(schema: pa.Schema) -> tuple[dict[str, object], list[str]]:
    """What pandas wrote beside the columns, and the columns that were its index."""
    raw = (schema.metadata or {}).get(b"pandas")
    try:
        recorded = json.loads(raw) if raw else {}
    except ValueError:
        return {}, []
    if not isinstance(recorded, dict):
        return {}, []
    index = recorded.get("index_columns")
    return recorded, [n for n in index if isinstance(n, str)] if isinstance(index, list) else []


def _plain_type(kind: pa.DataType) -> pa.DataType | None:
    """The type that pandas takes without loss of meaning; None for what is not a single value."""
    import pyarrow as pa

    t = pa.types
    if t.is_null(kind) or t.is_string_view(kind) or t.is_time(kind):
        return pa.string()
    if t.is_decimal(kind):
        return pa.float64()
    if t.is_float16(kind):
        return pa.float32()
    if t.is_dictionary(kind) and t.is_null(kind.value_type):
        return pa.string()
    if t.is_dictionary(kind):
        return kind if _plain_type(kind.value_type) == kind.value_type else None
    simple = (t.is_boolean, t.is_integer, t.is_floating, t.is_string, t.is_large_string, t.is_date, t.is_timestamp)
    return kind if any(is_(kind) for is_ in simple) else None
