"""What was asked of a file besides its name, and what is said about it on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from begat.errors import DataError, did_you_mean


@dataclass(frozen=True)
class Request:
    """The arguments of `begat.read` that its readers need; readers add to `notes` what they recognised."""

    encoding: str | None = None
    separator: str | None = None
    table: str | None = None
    query: str | None = None
    rows: int | None = None
    drop: Sequence[str] = ()
    target: str | None = None
    size: int | tuple[int, int] | None = None
    channels: int | None = None
    notes: list[str] = field(default_factory=list)

    def kept(self, names: Sequence[str], label: str) -> list[str]:
        """The columns that are not to be dropped; DataError where one to drop is not there."""
        for name in self.drop:
            if name not in names:
                raise DataError(f"the column to drop {name!r} is not in {label}{did_you_mean(name, names)}")
        left = [n for n in names if n not in self.drop]
        if names and not left:
            raise DataError(f"every column of {label} is to be dropped; leave one at least")
        return left
