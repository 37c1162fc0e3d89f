"""Shapes and types of the mathematics are checked while the tests run; they cost nothing otherwise."""

from jaxtyping import install_import_hook

install_import_hook(["begat.core", "begat.leaves", "begat.maths", "begat.families"], "beartype.beartype")
