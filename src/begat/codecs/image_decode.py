"""One picture of any kind as pixels of one kind: upright, of eight bits, grey or in colours, of the size asked for."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from begat.errors import BegatError, DataError, FileError

if TYPE_CHECKING:
    from PIL import Image

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""What a file may hold, whatever its name says; other decoders of Pillow (one runs Ghostscript) are never asked."""
MOST_PIXELS = 50_000_000
"""A picture of more pixels is refused before it is decoded: a few bytes of a file can claim any size."""
SHADES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")
COLOURS = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")
"""Kinds of pixels without and with colour, as Pillow names them."""
WHITE = (255, 255, 255, 255)
TURNED = 274
"""The EXIF tag that says which edge of the stored picture is up."""
UPRIGHT = {
    2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270", 7: "TRANSVERSE",
    8: "ROTATE_90",
}  # fmt: skip
"""What brings a picture of this orientation upright, as Pillow names it."""


class Source(NamedTuple):
    """Where a picture comes from: what it is called in messages, and how it is opened, again each time."""

    name: str
    open: Callable[[], AbstractContextManager[Any]]


class Look(NamedTuple):
    """What a picture is before it is decoded: its size (height, width) when upright, and whether it has no colour."""

    size: tuple[int, int]
    grey: bool


def in_file(path: Path) -> Source:
    """The first picture in a file; what is wrong with the file is a FileError that names it."""
    return Source(str(path), partial(_opened, path))


def in_memory(image: Any, name: str) -> Source:
    """A picture of Pillow, decoded or not yet."""
    return Source(name, partial(_held, image, name))


@contextmanager
def strictly() -> Iterator[None]:
    """A picture cut short is an error, whatever the program has told Pillow; its warnings are no errors of ours."""
    from PIL import ImageFile

    lenient = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def look(source: Source) -> Look:
    """Size and colour of a picture. FileError: it cannot be opened or is too large. DataError: pixels of floats."""
    name = source.name
    with source.open() as image:
        mode, (across, down) = image.mode, image.size
        if across * down > MOST_PIXELS:
            raise _too_large(name)
        if min(across, down) < 1:
            raise DataError(f"{name} has {down} x {across} pixels; leave it out")
        if across != down and _turn(image) >= 5:
            across, down = down, across
            if image.format == "TIFF":  # Pillow turns it itself, and states either size before it has
                image.load()
                across, down = image.size
    if mode == "F":
        raise DataError(f"{name} has pixels of floats; expected whole numbers from 0 to 255: save it with 8 bits")
    if mode not in SHADES and mode not in COLOURS:
        raise DataError(f"{name} has pixels of the kind {mode}, which begat does not read; save it as an RGB picture")
    return Look((down, across), mode in SHADES)


def decoded(source: Source, mode: str, size: tuple[int, int], seen: Counter[str]) -> np.ndarray:
    """Pixels, uint8 (h, w) or (h, w, channels), in Pillow's mode L, RGB or RGBA; `seen` counts what was done to them.

    Transparent pixels are laid on white unless the mode is RGBA. FileError: a damaged picture.
    """
    with source.open() as image:
        seen["frames"] += bool(getattr(image, "is_animated", False))
        deep, turn, kind = ";16" in str(getattr(image, "tile", ())[:1]), _turn(image), image.format
        image.load()
        if image.mode.startswith("I"):
            image, deep = _high_byte(image, source.name), True
        if turn > 1 and kind != "TIFF":
            from PIL.Image import Transpose

            image = image.transpose(Transpose[UPRIGHT[turn]])
        seen.update(deep=deep, turned=turn > 1, printed=image.mode == "CMYK")
        return fitted(_in_mode(image, mode, seen), size)


def fitted(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """The largest part of the picture that has the shape (h, w), around the centre and scaled to it."""
    from PIL.Image import Resampling

    (height, width), (across, down) = size, image.size
    if (down, across) != (height, width):
        # In one step: a long thin picture would have to become huge before it could be cropped.
        inner = (across, across * height / width) if across * height <= down * width else (down * width / height, down)
        left, top = (across - inner[0]) / 2, (down - inner[1]) / 2
        box = (left, top, min(left + inner[0], across), min(top + inner[1], down))
        image = image.resize((width, height), Resampling.LANCZOS, box=box)
    return np.asarray(image)


# opening ----------------------------------------------------------------------------------------------------------
@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        stream = path.open("rb")
    except OSError as error:
        raise FileError(f"{path} cannot be opened: {error.strerror or error}") from None
    with stream, _damage(str(path)):
        if not stream.read(1):
            raise FileError(f"{path} is empty; remove it, or put the picture there")
        with _identified(stream, path) as image:
            if image.format != "PNG":
                yield image
                return
            image.verify()  # the decoder itself neither looks at all checksums nor misses the end
        with _identified(stream, path) as image:
            yield image


def _identified(stream: BinaryIO, path: Path) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    stream.seek(0)
    try:
        return Image.open(stream, formats=FORMATS)
    except UnidentifiedImageError:
        raise FileError(
            f"{path} holds no picture that can be read, whatever it is called; remove it or save it anew"
        ) from None
    except Image.DecompressionBombError:
        raise _too_large(str(path)) from None


@contextmanager
def _held(image: Any, name: str) -> Iterator[Any]:
    with _damage(name):
        yield image


class _damage:
    """Turns whatever Pillow raises for a damaged picture into one line that names it."""

    def __init__(self, name: str):
        self.name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # Its decoders raise SyntaxError, struct.error, IndexError and more, as the bytes have it.
        if isinstance(error, Exception) and not isinstance(error, BegatError):
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise FileError(f"{self.name} is damaged or cut short ({said}); remove it or save it anew") from None


def _too_large(name: str) -> FileError:
    return FileError(f"{name} has more than {MOST_PIXELS:,} pixels and is refused; make it smaller")


# pixels -----------------------------------------------------------------------------------------------------------
def _turn(image: Any) -> int:
    """Which edge of the stored picture is up: 1 to 8, of which 5 and more swap height and width."""
    try:
        turn = image.getexif().get(TURNED, 1)
    except Exception:  # a camera's notes may be beyond reading though the picture is not
        return 1
    return turn if turn in UPRIGHT else 1


def _high_byte(image: Any, name: str) -> Image.Image:
    from PIL import Image

    values = np.asarray(image)
    if int(values.min()) < 0 or int(values.max()) > 65535:
        raise DataError(f"{name} has pixels from {values.min()} to {values.max()}; expected 8 or 16 bits: save it so")
    return Image.fromarray((values >> 8).astype(np.uint8))


def _in_mode(image: Any, mode: str, seen: Counter[str]) -> Image.Image:
    from PIL import Image

    if image.mode == "La":
        image = image.convert("LA")
    if image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        if mode != "RGBA" and image.getextrema()[3][0] < 255:
            seen["alpha"] += 1
            image = Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image)
    return image if image.mode == mode else image.convert(mode)
