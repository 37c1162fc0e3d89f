"""Pictures in and out: what is written is read again, every kind of pixel becomes bytes, every bad file says so."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

import begat
from begat.codecs.array_file import from_arrays
from begat.codecs.data import Data, PictureData
from begat.codecs.image import from_pillow
from begat.codecs.image_decode import ENDINGS
from begat.codecs.image_folder import read_folder
from begat.codecs.image_write import grid, narrowed, spread, write_pictures
from begat.codecs.read_pictures import holds_pictures, read_gaps, read_pictures
from begat.errors import BegatError, DataError, FileError

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (12, 16, 3)).astype(np.uint8)
SMOOTH = np.stack(np.meshgrid(np.arange(16) * 8, np.arange(12) * 8), -1).sum(-1).astype(np.uint8)
GREY = COLOURS[..., 0]
OPACITY = np.where(np.arange(16) < 8, 255, 0).astype(np.uint8) * np.ones((12, 1), np.uint8)
ON_WHITE = np.where(OPACITY[..., None] > 0, COLOURS, 255).astype(np.uint8)


def picture(*channels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.dstack(channels) if len(channels) > 1 else channels[0])


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def folder_of(tmp_path: Path, files: dict[str, bytes]) -> Path:
    """A folder with these files, which are made with the folders that they lie in."""
    home = tmp_path / "pictures"
    for name, content in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(content)
    return home


def shade(value: int, size: tuple[int, int] = (8, 8)) -> bytes:
    return encoded(picture(np.full(size, value, np.uint8)), "PNG")


# kinds of pixels --------------------------------------------------------------------------------------------------
PALETTE = picture(COLOURS // 128 * 255).quantize(8)
PAINTED = np.asarray(PALETTE.convert("RGB"))
CLEAR = PALETTE.getpixel((0, 0))
BITS = picture(GREY).convert("1", dither=Image.Dither.NONE)
DEEP = RNG.integers(0, 65536, (12, 16)).astype(np.uint16)

# name -> (the file, its pixels, what the notes say)
KINDS: dict[str, tuple[str, bytes, np.ndarray, str]] = {
    "grey": (".png", encoded(picture(GREY), "PNG"), GREY, ""),
    "colours": (".png", encoded(picture(COLOURS), "PNG"), COLOURS, ""),
    "bits": (".png", encoded(BITS, "PNG"), np.asarray(BITS) * np.uint8(255), ""),
    "palette": (".png", encoded(PALETTE, "PNG"), PAINTED, ""),
    "palette with alpha": (
        ".png", encoded(PALETTE, "PNG", transparency=CLEAR),
        np.where(np.asarray(PALETTE)[..., None] == CLEAR, 255, PAINTED), "1 picture is transparent",
    ),
    "colours with alpha": (".png", encoded(picture(COLOURS, OPACITY), "PNG"), ON_WHITE, "1 picture is transparent"),
    "opaque alpha": (".png", encoded(picture(COLOURS, GREY * 0 + 255), "PNG"), COLOURS, ""),
    "grey with alpha": (
        ".png", encoded(Image.merge("LA", (picture(GREY), picture(OPACITY))), "PNG"), np.where(OPACITY, GREY, 255),
        "transparent",
    ),
    "16 bits": (".png", encoded(picture(DEEP), "PNG"), DEEP >> 8, "1 picture is of 16 bits"),
    "16 bits tiff": (".tif", encoded(picture(DEEP), "TIFF"), DEEP >> 8, "16 bits"),
    "16 bits pgm": (".pgm", b"P5 16 12 65535\n" + DEEP.astype(">u2").tobytes(), DEEP >> 8, "16 bits"),
    "32 bits of 16": (".tif", encoded(picture(DEEP.astype(np.int32)), "TIFF"), DEEP >> 8, "16 bits"),
    "cmyk": (".tif", encoded(picture(COLOURS).convert("CMYK"), "TIFF"), COLOURS, "CMYK"),
    "bmp": (".bmp", encoded(picture(COLOURS), "BMP"), COLOURS, ""),
    "gif": (".gif", encoded(PALETTE, "GIF"), PAINTED, ""),
    "gif of several": (
        ".gif", encoded(PALETTE, "GIF", save_all=True, append_images=[PALETTE.rotate(180)]), PAINTED,
        "1 picture is the first of several",
    ),
    "tiff": (".tiff", encoded(picture(COLOURS), "TIFF", compression="tiff_lzw"), COLOURS, ""),
    "tiff of several": (
        ".tif", encoded(picture(GREY), "TIFF", save_all=True, append_images=[picture(COLOURS)]), GREY, "several"
    ),
    "webp": (".webp", encoded(picture(COLOURS), "WEBP", lossless=True), COLOURS, ""),
    "ppm": (".ppm", encoded(picture(COLOURS), "PPM"), COLOURS, ""),
    "pgm": (".pgm", encoded(picture(GREY), "PPM"), GREY, ""),
    "pbm": (".pbm", encoded(BITS, "PPM"), np.asarray(BITS) * np.uint8(255), ""),
    "another ending": (".JPG", encoded(picture(GREY), "PNG"), GREY, ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_pixels_becomes_bytes(tmp_path: Path, kind: str) -> None:
    ending, content, expected, said = KINDS[kind]
    found = read_folder(folder_of(tmp_path, {f"a{ending}": content}))
    assert found.pixels.dtype == np.uint8 and found.files == (f"a{ending}",) and found.labels is None
    np.testing.assert_array_equal(found.pixels[0], expected)
    assert said in "\n".join(found.notes) and len(found.notes) == 1 + (said != "")


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_pictures_come_close(tmp_path: Path, kind: str) -> None:
    home = folder_of(tmp_path, {f"a.{kind.lower()}": encoded(picture(SMOOTH), kind, quality=95)})
    assert np.abs(read_folder(home, channels=1).pixels[0].astype(int) - SMOOTH).max() <= 4


def test_every_ending_is_read_as_a_picture(tmp_path: Path) -> None:
    assert {ending for ending, *_ in KINDS.values()} | {".jpg", ".jpeg"} >= set(ENDINGS)
    home = folder_of(tmp_path, {f"a{ending}": shade(7) for ending in ENDINGS})
    assert read_folder(home).files == tuple(sorted(f"a{ending}" for ending in ENDINGS))


@pytest.mark.parametrize(
    ("channels", "shape", "pixel"),
    [(None, (3,), (255, 255, 255)), (1, (), 255), (3, (3,), (255, 255, 255)), (4, (4,), (10, 20, 30, 0))],
)
def test_channels_are_those_asked_for(tmp_path: Path, channels: int | None, shape: tuple[int, ...], pixel: Any) -> None:
    clear = np.tile(np.array([10, 20, 30, 0], np.uint8), (8, 8, 1))
    home = folder_of(tmp_path, {"clear.png": encoded(picture(clear), "PNG"), "grey.png": shade(90)})
    found = read_folder(home, channels=channels).pixels
    assert found.shape == (2, 8, 8, *shape) and (found[0] == pixel).all()
    assert (found[1] == ([90, 90, 90, 255] if channels == 4 else 90)).all()


def test_grey_pictures_stored_in_colours_are_told(tmp_path: Path) -> None:
    home = folder_of(tmp_path, {"a.png": encoded(picture(GREY, GREY, GREY), "PNG")})
    assert "channels=1" in read_folder(home).notes[-1]
    np.testing.assert_array_equal(read_folder(home, channels=1).pixels[0], GREY)


STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
    5: lambda a: a.T, 6: lambda a: a.T[::-1], 7: lambda a: a.T[::-1, ::-1], 8: lambda a: a.T[:, ::-1],
}  # fmt: skip
"""How a camera that is held in this way stores the upright picture."""


@pytest.mark.parametrize("turn", STORED)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_pictures_come_upright(tmp_path: Path, kind: str, turn: int) -> None:
    exif = Image.Exif()
    exif[274] = turn
    stored = picture(np.ascontiguousarray(STORED[turn](GREY)))
    lossless = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    content = encoded(stored.convert("RGB"), kind, exif=exif, **lossless)
    found = read_folder(folder_of(tmp_path, {f"a.{kind.lower()}": content}), channels=1)
    np.testing.assert_array_equal(found.pixels, GREY[None])
    np.testing.assert_array_equal(from_pillow([Image.open(io.BytesIO(content))], channels=1), GREY[None])


@pytest.mark.parametrize("turn", STORED)
def test_jpegs_come_upright(tmp_path: Path, turn: int) -> None:
    exif = Image.Exif()
    exif[274] = turn
    content = encoded(picture(np.ascontiguousarray(STORED[turn](SMOOTH))), "JPEG", exif=exif, quality=95)
    found = read_folder(folder_of(tmp_path, {"a.jpg": content}))
    assert found.pixels.shape == (1, 12, 16) and np.abs(found.pixels[0].astype(int) - SMOOTH).max() <= 6


def test_a_camera_s_broken_notes_spoil_no_picture(tmp_path: Path) -> None:
    home = folder_of(tmp_path, {"a.png": encoded(picture(GREY), "PNG", exif=b"Exif\0\0MM\0*nonsense")})
    np.testing.assert_array_equal(read_folder(home).pixels[0], GREY)


# sizes ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("sizes", "asked", "result"),
    [
        ([(5, 5)] * 2, None, (5, 5)),
        ([(64, 64)], None, (64, 64)),
        ([(28, 20)] * 3, None, (28, 20)),
        ([(28, 20)] * 3, 16, (16, 16)),
        ([(65, 65)], None, (64, 64)),
        ([(100, 40)] * 2, None, (32, 32)),
        ([(28, 28), (30, 28)], None, (16, 16)),
        ([(8, 200), (200, 9)], None, (8, 8)),
        ([(7, 9), (9, 9)], (4, 6), (4, 6)),
        ([(3, 3)], 12, (12, 12)),
        ([(1, 300)], np.int64(10), (10, 10)),
    ],
)
def test_sizes(tmp_path: Path, sizes: list[tuple[int, int]], asked: Any, result: tuple[int, int]) -> None:
    home = folder_of(tmp_path, {f"{i}.png": shade(200, size) for i, size in enumerate(sizes)})
    found = read_folder(home, size=asked)
    assert found.pixels.shape == (len(sizes), *result) and (found.pixels == 200).all()  # constant stays constant
    assert ("scaled to cover" in "\n".join(found.notes)) == (set(sizes) != {result})
    assert ("enlarged" in "\n".join(found.notes)) == any(h < result[0] or w < result[1] for h, w in sizes)


@pytest.mark.parametrize("size", [(12, 16), [12, 16], np.array([12, 16])])
def test_a_picture_of_the_size_is_untouched(size: Any) -> None:
    np.testing.assert_array_equal(from_pillow([picture(COLOURS)], size=size), COLOURS[None])


@pytest.mark.parametrize("shape", [(40, 90), (90, 40), (33, 34), (200, 20)])
@pytest.mark.parametrize("size", [(16, 16), (10, 30), (24, 8)])
def test_the_centre_is_kept(shape: tuple[int, int], size: tuple[int, int]) -> None:
    wave = np.cos(np.arange(shape[0]) / 5)[:, None] + np.sin(np.arange(shape[1]) / 7)
    pixels = (127 + 60 * wave).astype(np.uint8)
    made = from_pillow([picture(pixels)], size=size)[0].astype(int)
    for axis in (0, 1):  # what is cut on one side is cut on the other
        mirrored = np.ascontiguousarray(np.flip(pixels, axis))
        assert np.abs(np.flip(from_pillow([picture(mirrored)], size=size)[0], axis).astype(int) - made).max() <= 1
    edge = np.zeros(shape, np.uint8)
    edge[:, : shape[1] // 2] = 255
    halves = from_pillow([picture(edge)], size=size)[0]
    assert (halves[:, : size[1] // 2 - 2] > 200).all() and (halves[:, size[1] // 2 + 2 :] < 50).all()


def test_scaling_averages(tmp_path: Path) -> None:
    chequered = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    assert np.abs(from_pillow([picture(chequered)], size=8).astype(int) - 128).max() <= 2


# labels -----------------------------------------------------------------------------------------------------------
FLAT = {"a.png": shade(1), "b.png": shade(2)}
TREE = {"cat/1.png": shade(1), "dog/0.png": shade(2)}
CAPTIONS: dict[str, tuple[dict[str, bytes], str | None, list[str] | None, str]] = {
    "none": (FLAT, None, None, "2 pictures of 8 x 8"),
    "sub-folders": (TREE, None, ["cat", "dog"], "sub-folders: cat, dog"),
    "sub-folders by name": (TREE, "label", ["cat", "dog"], "sub-folders"),
    "beside sub-folders": ({**TREE, "z.png": shade(3)}, None, None, "z.png"),
    "two levels": ({"train/cat/0.png": shade(1), "train/dog/1.png": shade(2)}, None, None, "no labels"),
    "the other column": ({**FLAT, "metadata.csv": b"file_name,kind\nb.png,y\na.png,x\n"}, None, ["x", "y"], "kind"),
    "semicolons": ({**FLAT, "metadata.csv": b"kind;filename\nx;a.png\ny;b.png\n"}, None, ["x", "y"], "kind"),
    "label of several": (
        {**FLAT, "metadata.csv": b"file,label,n\na.png,x,1\nb.png,y,2\n"}, None, ["x", "y"], "column label",
    ),
    "chosen": ({**FLAT, "metadata.csv": b"path,label,n\na.png,x,1\nb.png,y,2\n"}, "n", ["1", "2"], "column n"),
    "not chosen": ({**FLAT, "metadata.csv": b"path,k,n\na.png,x,1\nb.png,y,2\n"}, None, None, "target= chooses"),
    "before sub-folders": (
        {**TREE, "metadata.csv": b"file_name,k\n./cat/1.png,x\ndog/0.png,y\ngone.png,z\n"}, None, ["x", "y"], "gone",
    ),
    "of something else": ({**FLAT, "metadata.csv": b"a,b\n1,2\n"}, None, None, "no column file_name"),
    "captions": ({**FLAT, "a.txt": b"a grey square"}, None, None, "1 picture with a caption"),
    "others": ({**FLAT, "readme.md": b"", "c.txt": b"", ".hidden.png": b"", ".g/x.png": b""}, None, None, "2 files"),
}  # fmt: skip


@pytest.mark.parametrize("case", CAPTIONS)
def test_labels(tmp_path: Path, case: str) -> None:
    files, target, labels, said = CAPTIONS[case]
    found = read_folder(folder_of(tmp_path, files), target=target)
    assert (None if found.labels is None else found.labels.tolist()) == labels
    assert said in "\n".join(found.notes)
    assert list(found.files) == sorted(n for n in files if n.endswith(".png") and not n.startswith("."))


def test_links_are_followed_once_and_never_up(tmp_path: Path) -> None:
    home = folder_of(tmp_path, TREE)
    elsewhere = folder_of(tmp_path / "else", {"bird/2.png": shade(3)}) / "bird"
    (home / "bird").symlink_to(elsewhere)
    (home / "cat" / "again").symlink_to(home)
    (home / "dog" / "up").symlink_to(tmp_path)
    (home / "other").symlink_to(home / "cat")
    (home / "loop.png").symlink_to(home / "loop.png")
    (home / "gone.png").symlink_to(home / "nowhere.png")
    found = read_folder(home)
    assert found.files == ("bird/2.png", "cat/1.png", "dog/0.png")
    assert "left out: 2 links to nowhere" in found.notes


def test_the_first_rows(tmp_path: Path) -> None:
    home = folder_of(tmp_path, {**FLAT, "c.png": b"never looked at"})
    assert read_folder(home, rows=2).files == ("a.png", "b.png")
    mixed = folder_of(tmp_path / "mixed", {**TREE, "z.png": shade(3)})
    assert read_folder(mixed, rows=2).labels is None  # whether there are labels is no matter of how many are read


# what cannot be read ----------------------------------------------------------------------------------------------
def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def claiming(width: int, height: int) -> bytes:
    """A PNG that says it has so many pixels."""
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), chunk(b"IDAT", zlib.compress(b""))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


FLOATS = encoded(picture(np.zeros((8, 8), np.float32)), "TIFF")
SCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(x) run\n"
REFUSED: dict[str, tuple[dict[str, bytes], dict[str, Any], type[BegatError], str]] = {
    "nothing": ({"a.txt": b""}, {}, FileError, "holds no picture .*.png, .jpg"),
    "empty": ({"a.png": b""}, {}, FileError, "a.png is empty"),
    "text": ({"a.png": b"hello, world"}, {}, FileError, "a.png holds no picture"),
    "cut to its header": ({"a.png": claiming(9, 9)[:40]}, {}, FileError, "a.png holds no picture"),
    "a program": ({"a.png": SCRIPT}, {}, FileError, "a.png holds no picture"),
    "a bomb": ({"a.png": claiming(10_000, 6_000)}, {}, FileError, "a.png has more than 50,000,000 pixels"),
    "a huge one": ({"a.png": claiming(90_000, 90_000)}, {}, FileError, "a.png has more than 50,000,000 pixels"),
    "floats": ({"a.tif": FLOATS}, {}, DataError, "a.tif has pixels of floats"),
    "32 bits": (
        {"a.tif": encoded(picture(np.full((8, 8), 70_000, np.int32)), "TIFF")}, {}, DataError, "a.tif has pixels from 7"
    ),
    "small": ({"a.png": shade(1), "b.png": shade(1, (7, 9))}, {}, DataError, "b.png has only 7 x 9 pixels"),
    "channels": (FLAT, {"channels": 2}, DataError, "channels=2; expected 1"),
    "size of nothing": (FLAT, {"size": 0}, DataError, "size=0; expected"),
    "size of text": (FLAT, {"size": "64"}, DataError, "size='64'; expected"),
    "size of three": (FLAT, {"size": (8, 8, 3)}, DataError, "expected a number of pixels"),
    "no rows": (FLAT, {"rows": 0}, DataError, "rows=0"),
    "no such labels": (FLAT, {"target": "kind"}, DataError, "no metadata.csv with a column 'kind'"),
    "folders are no kinds": (TREE, {"target": "kind"}, DataError, "called 'label'"),
    "no such column": (
        {**FLAT, "metadata.csv": b"file_name,kind\na.png,x\nb.png,y\n"}, {"target": "kin"}, DataError, "mean 'kind'",
    ),
    "no row": ({**FLAT, "metadata.csv": b"file_name,kind\na.png,x\nc.png,y\n"}, {}, DataError, "no row for b.png"),
    "no cell": ({**FLAT, "metadata.csv": b"file_name,kind\na.png,x\nb.png,\n"}, {}, DataError, "empty kind for b.png"),
    "two rows": (
        {**FLAT, "metadata.csv": b"file_name,kind\na.png,x\na.png,y\nb.png,y\n"}, {}, DataError, "a.png two labels",
    ),
    "broken metadata": ({**FLAT, "metadata.csv": b"\x00\x01\x02" * 50}, {}, FileError, "metadata.csv is binary"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_bad_folders_say_what_is_wrong(tmp_path: Path, case: str) -> None:
    files, arguments, error, message = REFUSED[case]
    with pytest.raises(error, match=message) as caught:
        read_folder(folder_of(tmp_path, files), **arguments)
    assert "\n" not in str(caught.value)


CUT = {
    "a.png": encoded(picture(COLOURS), "PNG"), "b.png": encoded(picture(GREY), "PNG", exif=b"MM\0*\0\0\0\x08\0\0"),
    "c.jpg": encoded(picture(COLOURS), "JPEG"), "d.jpg": encoded(picture(COLOURS), "JPEG", progressive=True),
    "e.bmp": encoded(picture(COLOURS), "BMP"), "f.webp": encoded(picture(COLOURS), "WEBP"),
    "g.tif": encoded(picture(COLOURS), "TIFF"), "h.ppm": encoded(picture(COLOURS), "PPM"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "lenient"), [*((name, False) for name in CUT), ("a.png", True), ("c.jpg", True)])
def test_pictures_cut_short_are_refused(
    tmp_path: Path, name: str, lenient: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    home = folder_of(tmp_path, {name: CUT[name]})
    assert len(read_folder(home).pixels) == 1
    # Without its last checksum a PNG has all its pixels.
    for cut in {int(at) for at in np.linspace(0, len(CUT[name]) - 5, 30)}:
        (home / name).write_bytes(CUT[name][:cut])
        with pytest.raises(FileError, match=name):
            read_folder(home)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is lenient


@pytest.mark.parametrize("name", [n for n in CUT if not n.endswith(".tif")] + ["i.gif"])
def test_mutated_pictures_give_pixels_or_a_begat_error(tmp_path: Path, name: str) -> None:
    original = CUT.get(name, KINDS["gif"][1])
    home, rng = folder_of(tmp_path, {name: original}), np.random.default_rng(len(name))
    outcomes = set()
    for _ in range(25):
        content = bytearray(original)
        for at in rng.integers(0, min(len(content), 200), 3):
            content[at] = rng.integers(0, 256)
        (home / name).write_bytes(bytes(content))
        try:
            outcomes.add(read_folder(home, size=8).pixels.shape[:3])
        except BegatError as error:
            assert name in str(error) and "\n" not in str(error)
            outcomes.add("refused")
    assert "refused" in outcomes and outcomes <= {"refused", (1, 8, 8)}


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["cat/1.png", "cat"])
def test_what_may_not_be_read(tmp_path: Path, name: str) -> None:
    home = folder_of(tmp_path, TREE)
    (home / name).chmod(0)
    try:
        with pytest.raises(FileError, match=f"{name} cannot be"):
            read_folder(home)
    finally:
        (home / name).chmod(0o700)


@pytest.mark.parametrize(
    ("given", "message"),
    [([], "no pictures"), ([np.zeros((8, 8))], "item 0 is of type ndarray"), ([Image.new("F", (8, 8))], "picture 0")],
)
def test_what_are_no_pictures_of_pillow(given: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_pillow(given)


def test_a_picture_that_pillow_has_not_decoded_yet() -> None:
    with pytest.raises(FileError, match="picture 1 is damaged"):
        from_pillow([picture(COLOURS), Image.open(io.BytesIO(CUT["a.png"][:400]))])


# arrays -----------------------------------------------------------------------------------------------------------
STACK = RNG.integers(0, 256, (3, 6, 5)).astype(np.uint8)
NAMES = np.array(["a", "b", "a"])
ARRAYS: dict[str, tuple[Any, np.ndarray]] = {
    "bytes": (STACK, STACK),
    "booleans": (STACK > 99, (STACK > 99) * np.uint8(255)),
    "integers": (STACK.astype(np.int64), STACK),
    "floats": (STACK.astype(np.float32), STACK),
    "half floats": (STACK.astype(np.float16), STACK),
    "another machine's": (STACK.astype(">i4"), STACK),
    "columns first": (np.asfortranarray(STACK), STACK),
    "one channel": (STACK[..., None], STACK),
    "colours": (COLOURS[None], COLOURS[None]),
    "alpha": (np.dstack([COLOURS, OPACITY])[None], ON_WHITE[None]),
}


@pytest.mark.parametrize("ending", [".npy", ".npz"])
@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_become_bytes(tmp_path: Path, case: str, ending: str) -> None:
    given, expected = ARRAYS[case]
    np.save(tmp_path / "x.npy", given)
    np.savez(tmp_path / "x.npz", given)
    found = from_arrays(tmp_path / f"x{ending}")
    assert found.pixels.dtype == np.uint8 and found.labels is None and found.files == ()
    np.testing.assert_array_equal(found.pixels, expected)


@pytest.mark.parametrize("name", ["X", "x", "images", "data", "pixels", "x_train"])
@pytest.mark.parametrize("label", ["y", "labels", "targets", "y_train"])
def test_arrays_by_their_names(tmp_path: Path, name: str, label: str) -> None:
    np.savez(tmp_path / "x.npz", **{label: NAMES, name: STACK, "other": STACK})
    found = from_arrays(tmp_path / "x.npz", rows=2)
    np.testing.assert_array_equal(found.pixels, STACK[:2])
    assert found.labels is not None and found.labels.tolist() == ["a", "b"]
    assert f"the examples are the array {name}, the labels {label}" in found.notes


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.arange(3)[:, None], [0, 1, 2]),
        (np.array([b"a", b"\xc3\xa9", b""]), ["a", "é", ""]),
        ([True] * 3, [True] * 3),
    ],
)
def test_labels_of_arrays(tmp_path: Path, labels: Any, expected: list[Any]) -> None:
    np.savez(tmp_path / "x.npz", X=STACK, kind=labels)
    found = from_arrays(tmp_path / "x.npz", target="kind").labels
    assert found is not None and found.tolist() == expected


def test_arrays_are_scaled_as_pictures_are(tmp_path: Path) -> None:
    large = RNG.integers(0, 256, (2, 80, 70, 3)).astype(np.uint8)
    np.save(tmp_path / "x.npy", large)
    for size in (None, 9):
        expected = from_pillow([picture(p) for p in large], size=size, channels=1)
        np.testing.assert_array_equal(from_arrays(tmp_path / "x.npy", size=size, channels=1).pixels, expected)


def saved(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def alone(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


BAD_ARRAYS: dict[str, tuple[str, bytes, type[BegatError], str]] = {
    "objects": ("x.npy", alone(np.array([{}, 1], object)), FileError, "Python objects, which begat never loads"),
    "objects inside": ("x.npz", saved(X=STACK, y=np.array([1, {}, 2], object)), FileError, "Python objects"),
    "a pickle": ("x.npy", b"\x80\x04K\x01.", FileError, "no array that NumPy saved"),
    "nothing": ("x.npy", b"", FileError, "is empty"),
    "cut short": ("x.npy", alone(STACK)[:-3], FileError, "not a readable .npy file"),
    "half a zip": ("x.npz", saved(X=STACK)[:-30], FileError, "not a readable .npz file|damaged"),
    "channels first": ("x.npy", alone(np.zeros((2, 3, 8, 9))), DataError, r"np.moveaxis\(x, 1, -1\)"),
    "five channels": ("x.npy", alone(np.zeros((2, 8, 9, 5))), DataError, "1, 3 or 4 channels"),
    "one picture": ("x.npy", alone(COLOURS), DataError, r"one picture in colours.*x\[None\]"),
    "a table": ("x.npy", alone(np.zeros((4, 3))), DataError, "a table of shape"),
    "a line": ("x.npy", alone(np.zeros(4)), DataError, r"shape \(4,\)"),
    "no pictures": ("x.npy", alone(np.zeros((0, 8, 8))), DataError, r"shape \(0, 8, 8\)|cannot mmap"),
    "fractions": ("x.npy", alone(STACK / 255), DataError, r"np.rint\(255 \* x\)"),
    "beyond a byte": ("x.npy", alone(STACK.astype(int) * 9), DataError, "whole numbers from 0 to 255"),
    "no numbers": ("x.npy", alone(np.where(STACK > 9, np.nan, STACK)), DataError, "numbers from nan"),
    "complex": ("x.npy", alone(STACK * 1j), DataError, "complex128; expected numbers"),
    "records": ("x.npy", alone(np.zeros((2, 3, 3), [("a", int)])), DataError, "holds records"),
    "unnamed": ("x.npz", saved(a=STACK, b=STACK), DataError, "call the one of the examples X"),
    "few labels": ("x.npz", saved(X=STACK, y=[1, 2]), DataError, r"y has the shape \(2,\); expected \(3,\)"),
    "one-hot": ("x.npz", saved(X=STACK, y=np.eye(3)), DataError, r"y.argmax\(1\)"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_arrays_say_what_is_wrong(tmp_path: Path, case: str) -> None:
    name, content, error, message = BAD_ARRAYS[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=message) as caught:
        from_arrays(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_mutated_arrays_give_pixels_or_a_begat_error(tmp_path: Path, ending: str) -> None:
    original, rng = alone(STACK) if ending == ".npy" else saved(X=STACK, y=NAMES), np.random.default_rng(1)
    for _ in range(60):
        content = bytearray(original)
        for at in rng.integers(0, len(content), 3):
            content[at] = rng.integers(0, 256)
        (tmp_path / f"x{ending}").write_bytes(bytes(content))
        try:
            from_arrays(tmp_path / f"x{ending}")
        except BegatError as error:
            assert "\n" not in str(error)


# out --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("colours", [(), (3,), (4,)])
@pytest.mark.parametrize(
    ("n", "size", "arguments", "sheet"),
    [
        (1, (8, 8), {}, (66, 66)),
        (5, (8, 8), {}, (2 * 65 + 1, 3 * 65 + 1)),
        (4, (28, 28), {"pad": 2}, (2 * 58 + 2, 2 * 58 + 2)),
        (6, (5, 3), {"scale": 1, "pad": 0, "columns": 3}, (10, 9)),
        (2, (70, 65), {"columns": 9}, (72, 133)),
    ],
)
def test_every_picture_is_found_on_the_sheet(n: int, size: Any, arguments: Any, sheet: Any, colours: Any) -> None:
    pixels = RNG.integers(0, 256, (n, *size, *colours)).astype(np.uint8)
    made = grid(pixels, **arguments)
    assert made.shape == (*sheet, *colours) and made.dtype == np.uint8
    pad = arguments.get("pad", 1)
    scale = arguments.get("scale", max(64 // max(size), 1))
    tall, wide = size[0] * scale + pad, size[1] * scale + pad
    columns = (sheet[1] - pad) // wide
    gaps = np.ones(sheet, bool)
    for i, one in enumerate(pixels):
        cell = np.s_[pad + i // columns * tall :, pad + i % columns * wide :]
        shown = made[cell][: size[0] * scale, : size[1] * scale]
        np.testing.assert_array_equal(shown, np.kron(one, np.ones((scale, scale, *(1 for _ in colours)), np.uint8)))
        gaps[cell][: size[0] * scale, : size[1] * scale] = False
    assert (made[gaps] == ([211, 211, 211, 255] if colours == (4,) else 211)).all()


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_levels_reach_from_black_to_white(levels: int) -> None:
    shown = spread(np.arange(levels).reshape(1, 1, levels).astype(float), levels)
    assert shown[0, 0, 0] == 0 and shown[0, 0, -1] == 255 and len(np.unique(np.diff(shown[0, 0].astype(int)))) <= 2
    assert (np.rint(shown / (255 / (levels - 1))) == np.arange(levels)).all()
    assert (narrowed(shown, levels) == np.arange(levels)).all() and shown.shape == narrowed(shown, levels).shape
    assert levels == 256 or narrowed(np.append(shown, np.uint8(1)), levels) is None


PIXELS = RNG.integers(0, 256, (12, 8, 9, 3)).astype(np.uint8)
KINDS_OF = np.array(["b", "a", "ö ü"] * 4)


@pytest.mark.parametrize("pixels", [PIXELS, PIXELS[..., 0], PIXELS[:1]], ids=["colours", "grey", "one"])
@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("name", ["out", "out.npz", "out.npy"])
def test_what_is_written_is_read_again(tmp_path: Path, pixels: np.ndarray, labelled: bool, name: str) -> None:
    labels = KINDS_OF[: len(pixels)] if labelled and name != "out.npy" else None
    assert write_pictures(pixels, tmp_path / name, labels) == tmp_path / name
    found = begat.read(tmp_path / name)
    assert (
        isinstance(found, PictureData)
        and found.name == "out"
        and len(found) == len(pixels)
        and found.schema.picture == pixels.shape[1:]
    )
    order = [int(Path(f).stem) for f in found.files] or range(len(pixels))
    np.testing.assert_array_equal(found.X, pixels[order])
    assert (found.y is None) == (labels is None) and (labels is None or found.y.tolist() == labels[order].tolist())
    assert labelled or list(order) == list(range(len(pixels)))
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_levels_are_spread_in_pictures_and_kept_in_arrays(tmp_path: Path) -> None:
    digits = RNG.integers(0, 17, (5, 8, 8))
    for name in ("out", "out.npz", "out.png"):
        write_pictures(digits, tmp_path / name, levels=17)
    np.testing.assert_array_equal(begat.read(tmp_path / "out").X, spread(digits, 17))
    np.testing.assert_array_equal(begat.read(tmp_path / "out.npz").X, digits)
    with Image.open(tmp_path / "out.png") as sheet:
        np.testing.assert_array_equal(np.asarray(sheet), grid(spread(digits, 17)))


def test_an_empty_folder_is_filled_and_a_file_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out.png").write_bytes(b"old")
    for name in ("out", "out.png"):
        write_pictures(PIXELS, tmp_path / name)
    assert len(list((tmp_path / "out").iterdir())) == 12
    with Image.open(tmp_path / "out.png") as sheet:
        assert sheet.mode == "RGB"


BAD_WRITES: dict[str, tuple[Any, str, dict[str, Any], type[BegatError], str]] = {
    "ending": (PIXELS, "out.jpg", {}, FileError, "expected .png, .npy, .npz"),
    "the screen": (PIXELS, "-", {}, FileError, "cannot be printed"),
    "no path": (PIXELS, "a\0b", {}, FileError, "is no path"),
    "a long name": (PIXELS, "a" * 300, {}, FileError, "cannot be written"),
    "nowhere": (PIXELS, "none/out", {}, FileError, "none does not exist"),
    "full": (PIXELS, "full", {}, FileError, "full is not empty"),
    "a file": (PIXELS, "full/file", {}, FileError, "is a file"),
    "fractions": (PIXELS / 255, "out.png", {}, DataError, "fractions"),
    "one": (PIXELS[0, ..., 0], "out.png", {}, DataError, r"shape \(8, 9\)"),
    "labels of an array": (PIXELS, "out.npy", {"labels": KINDS_OF}, DataError, "write .npz"),
    "few labels": (PIXELS, "out", {"labels": ["a"]}, DataError, r"expected \(12,\)"),
    "no label": (PIXELS, "out", {"labels": [None] * 12}, DataError, "no label"),
    "upwards": (PIXELS, "out", {"labels": [".."] * 12}, DataError, "cannot be the name of a folder"),
    "a path": (PIXELS, "out", {"labels": ["a/b"] * 12}, DataError, "'a/b' cannot be the name"),
    "long": (PIXELS, "out", {"labels": ["a" * 300] * 12}, FileError, "out cannot be written"),
    "levels": (PIXELS, "out", {"levels": 1}, DataError, "levels=1; give 2 to 256"),
    "more levels": (STACK % 20, "out.png", {"levels": 17}, DataError, "give levels=20"),
    "a large sheet": (np.zeros((20_000, 64, 64), np.uint8), "out.png", {}, DataError, "sheet of 20,000 pictures"),
}


@pytest.mark.parametrize("case", BAD_WRITES)
def test_what_cannot_be_written_leaves_nothing(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    pixels, name, arguments, error, message = BAD_WRITES[case]
    with pytest.raises(error, match=message) as caught:
        write_pictures(pixels, name, **arguments)
    assert "\n" not in str(caught.value)
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")) == ["full", "full/file"]


@pytest.mark.parametrize("arguments", [{"columns": 0}, {"scale": 0}, {"pad": -1}])
def test_sheets_that_are_none(arguments: dict[str, int]) -> None:
    with pytest.raises(DataError, match="give at least"):
        grid(PIXELS, **arguments)


# begat.read -------------------------------------------------------------------------------------------------------
def test_read_gives_pictures(tmp_path: Path) -> None:
    data = begat.read(folder_of(tmp_path, TREE), "label", size=4, channels=3, rows=2)
    assert repr(data) == "PictureData('pictures', 2 pictures of 4 x 4 pixels, in colours, 2 labels)"
    assert data.X.shape == (2, 4, 4, 3) and data.y.tolist() == ["cat", "dog"] and data.files == tuple(TREE)
    assert data.notes[0] == "2 pictures of 8 x 8 pixels"


@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_read_gives_a_table_of_an_array_of_rows(tmp_path: Path, ending: str) -> None:
    table = RNG.normal(size=(40, 3))
    np.save(tmp_path / "t.npy", table)
    np.savez(tmp_path / "t.npz", X=table, y=np.array(["a", "b"] * 20))
    data = begat.read(tmp_path / f"t{ending}", "y" if ending == ".npz" else "x2", rows=30)
    assert isinstance(data, Data) and len(data) == 30 and data.name == "t"
    assert data.schema.target == ("y" if ending == ".npz" else "x2")
    np.testing.assert_array_equal(data.frame[["x0", "x1", "x2"]], table[:30])


READ: dict[str, tuple[str, dict[str, Any], str]] = {
    "kinds": ("pictures", {"kinds": {"a": "count"}}, "is pictures, of which kinds="),
    "drop": ("pictures", {"drop": ["a"]}, "drop="),
    "size": ("t.csv", {"size": 8}, "is a table, of which size=8 says nothing"),
    "channels": ("t.csv", {"channels": 1}, "channels=1"),
    "one picture": ("pictures/a.png", {}, "one picture; give the folder"),
    "neither": ("empty", {}, "no .parquet file and no picture"),
    "no rows": ("x.npy", {"rows": 0}, "rows=0"),
    "labels to drop": ("digits", {"drop": ["digits"]}, "they are called 'digit'"),
    "labels of another name": ("digits", {"target": "y"}, "are called 'digit', not 'y'"),
    "no labels": ("x.npy", {"target": "y"}, "no array 'y' for the labels; save .npz"),
}


@pytest.mark.parametrize("case", READ)
def test_read_refuses_what_does_not_go_together(tmp_path: Path, case: str) -> None:
    folder_of(tmp_path, FLAT)
    (tmp_path / "empty").mkdir()
    (tmp_path / "t.csv").write_text("a,b\n1,x\n2,y\n")
    np.save(tmp_path / "x.npy", STACK)
    name, arguments, message = READ[case]
    with pytest.raises(BegatError, match=message):
        begat.read(name if name == "digits" else tmp_path / name, **arguments)


def test_a_schema_of_pictures_says_levels_and_classes(tmp_path: Path) -> None:
    data = begat.read(folder_of(tmp_path, TREE))
    assert data.schema.picture == data.X.shape[1:] and data.schema.target == "label"
    assert data.schema["label"].levels == ("cat", "dog") and data.schema["x0"].upper == 255
    bare = begat.read(tmp_path / "pictures", drop=["label"])
    assert bare.y is None and bare.schema.target is None
    digits = begat.read("digits", rows=50)
    assert digits.schema.target == "digit" and digits.schema["x0"].upper == 16
    assert digits.schema["digit"].kind == "category"  # whole numbers name classes
    np.savez(tmp_path / "d.npz", X=digits.X, y=digits.y / 4)
    assert begat.read(tmp_path / "d.npz").schema["y"].numeric


SCHEMA_OF = {
    "grey": np.arange(2 * 6 * 7).reshape(2, 6, 7) % 17,
    "colours": np.arange(2 * 6 * 7 * 3).reshape(2, 6, 7, 3) % 256,
    "one channel": (np.arange(2 * 6 * 7) % 256).reshape(2, 6, 7, 1),
}


@pytest.mark.parametrize("kind", SCHEMA_OF)
@pytest.mark.parametrize("name", ["out", "out.npy"])
def test_pictures_for_a_model_have_its_shape_and_levels(tmp_path: Path, kind: str, name: str) -> None:
    from begat.codecs.pictures import levels_of, schema_of

    pixels = SCHEMA_OF[kind]
    schema = schema_of(pixels)
    write_pictures(pixels, tmp_path / name, levels=levels_of(schema))
    assert holds_pictures(tmp_path / name)
    found = read_pictures(tmp_path / name, schema)
    np.testing.assert_array_equal(found.X, pixels)
    gaps = np.where(np.arange(7)[:, None] > 3 if pixels.ndim == 4 else np.arange(7) > 3, np.nan, pixels)
    np.save(tmp_path / "gaps.npy", gaps)
    np.testing.assert_array_equal(read_gaps(tmp_path / "gaps.npy", schema), gaps)


def test_a_folder_is_scaled_to_the_model_and_an_array_above_64(tmp_path: Path) -> None:
    from begat.codecs.pictures import schema_of

    schema = schema_of(np.eye(8)[None] * 255)
    wide = RNG.integers(0, 256, (2, 100, 80)).astype(np.uint8)
    write_pictures(wide, tmp_path / "out")
    np.save(tmp_path / "out.npy", wide)
    for name in ("out", "out.npy"):
        assert read_pictures(tmp_path / name, schema).X.shape == (2, *schema.picture)


UNFIT: dict[str, tuple[str, str]] = {
    "sides": ("small.npy", "pictures of 5 x 5, but the model is of pictures of 8 x 8, 17 levels"),
    "colours": ("colours.npy", "pictures of 8 x 8 x 3"),
    "levels": ("bright.npy", "a pixel of 200, but the model is of"),
    "rows": ("rows.npy", "rows is a table, but the model is of pictures"),
    "table": ("t.csv", "t is a table"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_pictures_that_do_not_fit_a_model_say_so(tmp_path: Path, case: str) -> None:
    schema = begat.read("digits", rows=20).schema
    arrays = {
        "small": np.ones((2, 5, 5)), "colours": np.ones((2, 8, 8, 3)), "bright": np.full((2, 8, 8), 200),
        "rows": np.ones((20, 64)), "minus": np.full((2, 8, 8), -1.0), "half": np.full((2, 8, 8), 0.5),
    }  # fmt: skip
    for name, held in arrays.items():
        np.save(tmp_path / f"{name}.npy", held)
    (tmp_path / "t.csv").write_text("a,b\n1,x\n2,y\n")
    name, message = UNFIT[case]
    with pytest.raises(DataError, match=message):
        read_pictures(tmp_path / name, schema)
    for gaps, words in (("small.npy", "has the shape"), ("t.csv", "unknown pixels"), ("minus.npy", "no levels"),
                        ("half.npy", "from 0.5 to 0.5")):  # fmt: skip
        with pytest.raises(DataError, match=words):
            read_gaps(tmp_path / gaps, schema)


def test_a_folder_with_parquet_is_a_table(tmp_path: Path) -> None:
    import pandas as pd

    pd.DataFrame({"a": [1.5, 2.5, 3.25]}).to_parquet(folder_of(tmp_path, FLAT) / "part.parquet")
    assert isinstance(begat.read(tmp_path / "pictures"), Data)


def test_reading_tables_does_not_load_pillow() -> None:
    import subprocess
    import sys

    code = "import sys, begat.codecs.read, begat.codecs.image_write; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
