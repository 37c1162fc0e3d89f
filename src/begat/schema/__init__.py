"""The schema states the measure: what each column is, which values it may take, and how it looked."""

from begat.schema.column import (
    CODED,
    GRIDDED,
    HALF,
    KINDS,
    UNSCORED,
    Column,
    Grid,
    Kind,
    Scalar,
    TextFormat,
    half_of_a_pair,
)
from begat.schema.table import DESCRIPTIVE, FORMAT, LARGEST_FILE, Schema

__all__ = [
    "CODED",
    "DESCRIPTIVE",
    "FORMAT",
    "GRIDDED",
    "HALF",
    "KINDS",
    "LARGEST_FILE",
    "UNSCORED",
    "Column",
    "Grid",
    "Kind",
    "Scalar",
    "Schema",
    "TextFormat",
    "half_of_a_pair",
]
