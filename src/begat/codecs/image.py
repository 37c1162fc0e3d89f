"""Many pictures as one array: of one size and one number of channels, and what was done to get there."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from begat.codecs.image_decode import MOST_PIXELS, Look, Source, decoded, in_memory, look, strictly
from begat.errors import DataError

SIDES = (64, 32, 16, 8)
"""Sides of the square that pictures of several sizes are brought to unless a size is given."""
MODES = {None: "", 1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's names of pixels with so many channels."""
DONE = {
    "frames": "{} the first of several in a file; the others are left out",
    "deep": "{} of 16 bits, of which the upper 8 are kept",
    "turned": "{} turned or mirrored, as EXIF says",
    "printed": "{} of CMYK, turned into RGB without a profile",
    "alpha": "{} transparent in places, which became white; channels=4 keeps them",
}
"""What was done to pictures, after how many of them."""


def from_pillow(
    pictures: Sequence[Any], size: int | tuple[int, int] | None = None, channels: int | None = None
) -> np.ndarray:
    """Pixels, uint8 (n, h, w) or (n, h, w, channels), of Pillow's pictures; size and channels are those of `gather`.

    DataError: no pictures, something else among them, pixels of floats. FileError: one that cannot be decoded.
    """
    from PIL.Image import Image

    given = list(pictures)
    for i, picture in enumerate(given):
        if not isinstance(picture, Image):
            raise DataError(f"item {i} is of type {type(picture).__name__}; expected pictures of Pillow (PIL.Image)")
    return gather([in_memory(picture, f"picture {i}") for i, picture in enumerate(given)], size, channels)[0]


def gather(
    sources: Sequence[Source], size: int | tuple[int, int] | None = None, channels: int | None = None
) -> tuple[np.ndarray, list[str]]:
    """Pixels, uint8 (n, h, w) or (n, h, w, channels), and what was done to get them, one sentence each.

    Pictures of one size up to 64 x 64 keep it, unless `size` is another. Others are scaled until they just cover the
    target and lose what is over its edges, evenly on both sides. The target is `size`, a number of pixels or (h, w), or
    the largest square of 64, 32, 16 and 8 pixels that no picture is enlarged for. channels: 1, 3 or 4; by default 1
    if no picture has colour, else 3. Transparent pixels are laid on white unless channels=4. DataError: no pictures,
    or one below 8 x 8 among larger ones and no size. FileError: as its source says.
    """
    if channels not in MODES or isinstance(channels, bool):
        raise DataError(f"channels={channels!r}; expected 1 (grey), 3 (colours) or 4 (colours and alpha)")
    wanted = None if size is None else sides(size)
    if not sources:
        raise DataError("there are no pictures; give at least one")
    with strictly():
        looks = [look(source) for source in sources]
        target = wanted or _usual(looks, sources)
        mode = MODES[channels] or ("L" if all(one.grey for one in looks) else "RGB")
        shape = (len(sources), *target, *(() if mode == "L" else (len(mode),)))
        try:
            pixels = np.empty(shape, np.uint8)
        except MemoryError:
            raise DataError(f"an array of shape {shape} does not fit in memory; give a smaller size or rows=") from None
        seen: Counter[str] = Counter()
        for i, source in enumerate(sources):
            pixels[i] = decoded(source, mode, target, seen)
    notes = [*_sizes(looks, target), *(said.format(_are(seen[what])) for what, said in DONE.items() if seen[what])]
    if mode == "RGB" and channels is None and (pixels == pixels[..., :1]).all():
        notes.append("every picture is grey, though stored in colours; channels=1 reads them as grey")
    return pixels, notes


def sides(size: Any) -> tuple[int, int]:
    """A size (height, width) from a number or a pair; DataError for what is none."""
    try:
        pair = (size, size) if np.ndim(size) == 0 else tuple(size)
        height, width = (0 if isinstance(side, bool) else operator.index(side) for side in pair)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1 or height * width > MOST_PIXELS:
        raise DataError(f"size={size!r}; expected a number of pixels such as 32, or (height, width)")
    return height, width


def counted(n: int, noun: str = "picture") -> str:
    """So many: 1 picture, 2,000 pictures."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def _are(n: int) -> str:
    return counted(n) + (" is" if n == 1 else " are")


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _usual(looks: Sequence[Look], sources: Sequence[Source]) -> tuple[int, int]:
    """The size that pictures of these sizes get where none is asked for."""
    if len({one.size for one in looks}) == 1 and max(looks[0].size) <= SIDES[0]:
        return looks[0].size
    least = min(range(len(looks)), key=lambda i: min(looks[i].size))
    size = looks[least].size
    side = next((s for s in SIDES if s <= min(size)), None)
    if side is None:
        raise DataError(f"{sources[least].name} has only {_by(size)} pixels; leave it out, or give a size for all")
    return side, side


def _sizes(looks: Sequence[Look], target: tuple[int, int]) -> list[str]:
    """How many pictures of which size there were, and what became of them."""
    found = sorted({one.size for one in looks}, key=lambda s: (s[0] * s[1], s))
    if len(found) == 1:
        first = f"{counted(len(looks))} of {_by(found[0])} pixels"
    else:
        first = f"{counted(len(looks))} of {len(found):,} sizes, {_by(found[0])} to {_by(found[-1])} (height x width)"
    if found == [target]:
        return [first]
    enlarged = sum(one.size[0] < target[0] or one.size[1] < target[1] for one in looks)
    scaled = f"scaled to cover {_by(target)} pixels and cropped around the centre; size= chooses another size"
    return [first, scaled, *([f"{_are(enlarged)} smaller than that and enlarged"] if enlarged else [])]
