"""What the verbs do with pictures: sheets, folders and arrays where tables have rows, a line for each of them."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from begat.cli import evidence, options, output
from begat.errors import BegatError, FileError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from begat.codecs.data import PictureData

WHERE = "--out NAME.png for a sheet of all, NAME.npy or NAME.npz for their array, or --out FOLDER for a file of each"


def place(out: str) -> None:
    """Refuse, before any work, a place where no pictures can be written."""
    from begat.codecs.image_write import picture_place

    if out == "-":
        raise FileError(f"pictures cannot be printed; give {WHERE}")
    folder = picture_place(out).parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileError(f"the folder {folder} may not be written to; give another one")


def put(pixels: Any, labels: Any, out: str, levels: int) -> str:
    """Write pictures as the name says, their levels spread over black to white where they are seen; what was done."""
    from begat.codecs.image_write import write_pictures

    ending = "" if os.path.isdir(out) else Path(out).suffix.lower()
    written = write_pictures(pixels, out, labels if ending in ("", ".npz") else None, levels=levels)
    kind = {"": "", ".png": "a sheet of "}.get(ending, "an array of ")
    return f"Wrote {kind}{output.counted(len(pixels), 'picture')} to {written}."


def of(X: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Pictures (n, *shape) from whatever a model gives."""
    import numpy as np

    return np.asarray(X).reshape(-1, *shape)


# sample and impute ----------------------------------------------------------------------------------------------------
def sample(model: Any, n: int, given: list[str] | None, seed: int | None, out: str, as_json: bool) -> None:
    """Draw pictures and write them; with the class of each, where the model has classes, in folders and .npz."""
    from begat.codecs.pictures import levels_of

    place(out)
    schema = model.schema_
    with output.working("drawing"):
        X, y = model.sample(n, given=evidence.parse(given, schema), return_y=True, random_state=seed)
    y = y if model.role_ == "classification" else None
    done = put(of(X, schema.picture), y, out, levels_of(schema))
    if as_json:
        output.print_json({"out": out, "pictures": n, "labels": None if y is None else list(y)})
    else:
        output.say(done)


def impute(model: Any, path: str, draws: int, seed: int | None, out: str, as_json: bool) -> None:
    """Fill unknown pixels and write the pictures; those of each draw after those of the one before."""
    import numpy as np

    from begat.codecs.pictures import levels_of
    from begat.codecs.read_pictures import read_gaps

    place(out)
    schema = model.schema_
    X = read_gaps(path, schema)
    with output.working("imputing"):
        made = [of(each, schema.picture) for each in model.impute(X, draws=draws, random_state=seed)]
    done, filled = put(np.concatenate(made), None, out, levels_of(schema)), int(np.isnan(X).sum())
    if as_json:
        output.print_json({"missing_pixels": filled, "pictures": len(X), "draws": draws, "out": out})
        return
    output.say(f"Filled {output.counted(filled, 'pixel')} in {output.counted(len(X), 'picture')}.")
    output.say(done)


# score and predict ----------------------------------------------------------------------------------------------------
def score(
    model: Any, reading: options.Reading, path: str, odd: int, out: str | None, separator: str | None, as_json: bool
) -> None:
    """The log-likelihood of each picture's pixels, whatever its label, and its bits per dimension."""
    import numpy as np
    import pandas as pd

    output.table_place(out, separator)
    data = reading.pictures(path, model.schema_)
    with output.working("scoring"):
        each = model.log_prob(data.X)
    bits = -each / (math.log(2) * math.prod(model.schema_.picture))
    lines = pd.DataFrame({**named(data), "log_prob": each, "bits_per_dimension": bits})
    possible = np.isfinite(each)
    facts: dict[str, Any] = {
        "pictures": len(each),
        **{f"{key}{end}": value for key, x in (("log_likelihood", each), ("bits_per_dimension", bits))
           for end, value in zip(("", "_stderr"), _mean(x) if possible.all() else (None, None), strict=True)},
        "impossible_pictures": int((~possible).sum()),
        "likelihood": str(model.likelihood),
    }  # fmt: skip
    least = lines.iloc[np.argsort(each, kind="stable")[:odd]]
    if odd:
        facts["odd"] = output.records(least)
    out = "-" if out is None and not odd else out
    if out is not None:
        facts |= output.put_rows(lines, out, as_json, separator=separator)
    if as_json:
        output.print_json(facts)
        return
    tell = output.say if out == "-" else output.tell
    if possible.all():
        (nats, error), (mean, spread) = _mean(each), _mean(bits)
        some = "" if error is None else f" +- {error:.3f}"
        more = "" if spread is None else f" +- {spread:.4f}"
        tell(f"{nats:.3f}{some} nats per picture, {mean:.4f}{more} bits per dimension, over {len(each):,} pictures")
    else:
        tell(f"{facts['impossible_pictures']:,} of {len(each):,} pictures are impossible: outside stated bounds")
    tell(f"{model.likelihood}, of the pixels without labels")
    if odd:
        rows = [[str(line[0]), f"{line[1]:.2f}", f"{line[2]:.3f}"] for line in least.itertuples(index=False)]
        output.print_table([str(lines.columns[0]), "log p", "bits per dimension"], rows, right=(1, 2))


def truth(model: Any, data: PictureData) -> pd.DataFrame:
    """The labels that pictures have, as a frame; those that are no class of the model are not known."""
    import pandas as pd

    if data.y is None:
        return pd.DataFrame(index=range(len(data)))
    labels = data.y.tolist()
    if model.role_ == "classification":
        classes = {str(c): c for c in model.classes_}
        labels = [classes.get(str(label)) for label in labels]
    return pd.DataFrame({model.schema_.target: labels})


def named(data: PictureData, target: str | int | None = None) -> dict[str, Any]:
    """What each picture is called, its file or its number, in a column of another name than the target's."""
    import numpy as np

    name = "file" if data.files else "picture"
    name += "_" * (name == target)
    return {name: list(data.files) if data.files else np.arange(len(data))}


def _mean(x: np.ndarray) -> tuple[float, float | None]:
    return float(x.mean()), float(x.std(ddof=1) / len(x) ** 0.5) if len(x) > 1 else None


# what pictures are ----------------------------------------------------------------------------------------------------
def about(schema: Any) -> list[str]:
    """What a schema of pictures says, a line each: the pictures, and their labels."""
    from begat.codecs.pictures import said

    lines = [said(schema)]
    if schema.target is None:
        return [*lines, "labels: none"]
    column = schema[schema.target]
    if not column.coded:
        return [*lines, f"labels: {schema.target}, {column.kind}"]
    levels = column.levels or ()
    return [*lines, f"labels: {schema.target}, {len(levels)} classes: {output.listed(levels, 12)}"]


def facts(schema: Any) -> dict[str, Any]:
    """The same for machines."""
    from begat.codecs.pictures import levels_of

    target = None if schema.target is None else schema[schema.target]
    return {
        "picture": list(schema.picture),
        "levels": levels_of(schema),
        "target": schema.target,
        "classes": None if target is None or not target.coded else list(target.levels or ()),
    }


def no_schema(out: str | None) -> None:
    """Refuse to write the schema of pictures."""
    if out is not None:
        raise BegatError("--out: pictures have no schema to edit, for all their columns are pixels; leave it out")
