"""The encoding of text in a file: recognised and said."""

from __future__ import annotations

import codecs

from begat.codecs.stream import Opener
from begat.errors import FileError, did_you_mean

PIECE = 2**20
"""Bytes decoded at a time."""
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


def encoding_of(open_: Opener, head: bytes, label: str, asked: str | None) -> tuple[str, list[str]]:
    """The encoding, and what to say about it: the one asked for, a byte order mark's, UTF-8, or Windows-1252."""
    if asked is not None:
        try:
            name = codecs.lookup(asked).name
            "".encode(name)
        except LookupError:
            known = ["utf-8", "utf-16", "latin-1", "cp1252", "cp1250", "shift_jis", "gb18030"]
            raise FileError(f"encoding {asked!r} does not exist{did_you_mean(asked, known)}") from None
        flaw = _undecodable(open_, name)
        if flaw is not None:
            raise FileError(f"{label} is not {asked}: {flaw[0]}; leave encoding out to have it recognised")
        return name, []
    for mark, name in MARKS:
        if head.startswith(mark):
            flaw = _undecodable(open_, name)
            if flaw is not None:
                raise FileError(f"{label} is marked as {name} but is not: {flaw[0]}")
            return name, [] if name == "utf-8-sig" else [f"encoding {name}"]
    for offset, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = head[offset:2000:2].count(0)
        if zeros > 0.4 * len(head[offset:2000:2]) and zeros > 4 * head[1 - offset : 2000 : 2].count(0):
            raise FileError(f"{label} looks like UTF-16 without a mark; pass encoding={name!r}")
    flaw = _undecodable(open_, "utf-8")
    if flaw is None:
        return "utf-8", []
    # Characters of two and more bytes are hardly ever valid by accident: with many of them it is damaged UTF-8.
    valid = sum(1 for c in head.decode("utf-8", "ignore") if c > "\x7f")
    damaged = head.decode("utf-8", "replace").count("\ufffd")
    if valid > 4 * max(damaged, 1):
        raise FileError(f"{label} is UTF-8 with damage: {flaw[0]}; repair it or pass encoding='latin-1'")
    name = "cp1252" if _undecodable(open_, "cp1252") is None else "latin-1"
    return name, [f"not UTF-8, read as {name}; pass encoding= if letters look wrong"]


def _undecodable(open_: Opener, encoding: str) -> tuple[str, int] | None:
    """What is wrong with the first byte that is not in this encoding, and its line; None if all is well."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    with open_() as stream:
        while True:
            piece = stream.read(PIECE)
            try:
                line += decoder.decode(piece, final=not piece).count("\n")
            except UnicodeDecodeError as error:
                line += error.object[: error.start].count(b"\n")
                return f"byte {error.object[error.start]:#04x} in line {line}", line
            except UnicodeError as error:
                return str(error), line
            if not piece:
                return None
