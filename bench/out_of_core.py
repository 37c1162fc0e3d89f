"""Naive Bayes from disk: fit 5,000,000 rows x 20 columns that are never in memory at once; peak memory, seconds.

    python bench/out_of_core.py [rows] [parquet|csv]

The table is written first (in pieces) to a temporary folder; the fit runs in a process of its own, whose peak resident
memory is what the operating system says of it. The floor is reading the file once with pyarrow, in the same process.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

FIT = """
import sys, time, resource
import torch
torch.set_num_threads(1)
path, kind = sys.argv[1:]
import begat
from begat.codecs.source import open_source
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
source = open_source(path)
for piece in source.chunks(65536):
    pass
print(f"reading once: {time.perf_counter() - start:.1f} s")
start = time.perf_counter()
model = begat.NaiveBayes().fit(open_source(path), "y")
print(f"fit: {time.perf_counter() - start:.1f} s, {model.rows_:,.0f} rows")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(f"peak memory {peak / 2**20:.2f} GB, of which {base / 2**20:.2f} GB are the imports")
"""


def write(path: Path, rows: int) -> None:
    """Ten numbers, five counts, four categories and a target, in pieces of 250,000 rows."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    rng = np.random.default_rng(0)
    words = np.array(["red", "green", "blue", "grey", "black"])
    writer = None
    for first in range(0, rows, 250_000):
        n = min(250_000, rows - first)
        y = rng.integers(0, 5, n)
        columns = {f"number{i}": rng.normal(size=n) + y * 0.1 for i in range(10)}
        columns |= {f"count{i}": rng.poisson(3 + y) for i in range(5)}
        columns |= {f"word{i}": words[(rng.integers(0, 5, n) + y) % 5] for i in range(4)}
        piece = pa.table({**columns, "y": words[y]})
        if writer is None:
            make = pa.parquet.ParquetWriter if path.suffix == ".parquet" else pa.csv.CSVWriter
            writer = make(path, piece.schema)
        writer.write_table(piece)
    writer.close()


def main(rows: int = 5_000_000, kind: str = "parquet") -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"table.{kind}"
        start = time.perf_counter()
        write(path, rows)
        size = path.stat().st_size / 2**20
        print(f"{rows:,} x 20 as {kind}: {size:.0f} MB, written in {time.perf_counter() - start:.0f} s", flush=True)
        subprocess.run([sys.executable, "-c", FIT, str(path), kind], check=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000, *sys.argv[2:3])
