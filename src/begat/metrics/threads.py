"""How many threads boosting takes."""

from __future__ import annotations

from contextlib import AbstractContextManager


def one_thread() -> AbstractContextManager[object]:
    """Boosting within it takes one thread: faster for such tables, and far faster where others use the cores."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # the package has no types

    limits: AbstractContextManager[object] = threadpool_limits(1, user_api="openmp")
    return limits
