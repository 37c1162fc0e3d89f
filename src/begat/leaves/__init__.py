"""Distributions of one column (or of a block of columns) under many states, behind one interface."""
