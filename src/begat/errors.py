"""What begat raises when it is given what it cannot use: one line with what came, what was expected, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

COMMANDS = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal obeys or cannot show: control characters, marks that turn the direction of text, halves of one."""


def visible(text: object) -> str:
    """What a file or a person gave as text, with what a terminal would obey spelled out: \\x1b, \\n, \\u202e."""
    return COMMANDS.sub(lambda found: repr(found[0])[1:-1], str(text))


class BegatError(ValueError):
    """The base of begat's own errors. A person's mistake, never a defect: the command line prints it as one line."""

    def __init__(self, message: object = ""):
        super().__init__(visible(message))


class DataError(BegatError):
    """A table, a cell or a target that cannot be used as it is."""


class SchemaError(BegatError):
    """A schema that contradicts itself or the data it is used with."""


class EvidenceError(BegatError):
    """Evidence (`given=`) that is malformed or impossible."""


class FileError(BegatError):
    """A file that is missing, broken, too large, or written by a version this one does not know."""


class NotOffered(BegatError, AttributeError):
    """A verb that a model does not have in its role: probabilities of classes where the target is a number."""


class MissingDependency(ImportError):
    """An optional package that the call needs and the environment lacks."""

    def __init__(self, package: str, extra: str, purpose: str):
        super().__init__(f"{purpose} needs the package {package!r}: pip install 'begat[{extra}]'")


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """The closest of the known names as a question, or a short list of them: the end of a sentence, with its space."""
    names = [str(k) for k in known]
    folded = {n.casefold(): n for n in names}
    near = get_close_matches(str(name).casefold(), list(folded), n=1, cutoff=0.6)
    if near:
        return f" (did you mean {folded[near[0]]!r}?)"
    if not names:
        return ""
    shown = ", ".join(repr(n) for n in names[:8])
    return f" (known: {shown}{', ...' if len(names) > 8 else ''})"


class Impossible(EvidenceError):
    """Evidence that leaves a row no probability; which row of the batch it is."""

    def __init__(self, row: int):
        super().__init__(f"the evidence has no probability (row {row}); widen it or leave a part of it out")
        self.row = row
