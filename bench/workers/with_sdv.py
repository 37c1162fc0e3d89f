"""SDV's single-table synthesizers at their defaults."""

from __future__ import annotations

import pandas as pd
from sdv.metadata import Metadata
from sdv.single_table import CTGANSynthesizer, GaussianCopulaSynthesizer, TVAESynthesizer
from worker import Fit, Sample, work

MODELLED = {"numerical", "categorical", "boolean", "datetime"}


def of(synthesizer: type) -> Fit:
    def fit(train: pd.DataFrame) -> Sample:
        metadata = Metadata.detect_from_dataframes({"table": train}, infer_keys=None)
        for name, said in metadata.tables["table"].columns.items():
            if said["sdtype"] not in MODELLED:  # a latitude, say, is taken for private and replaced by noise
                plain = "numerical" if pd.api.types.is_numeric_dtype(train[name]) else "categorical"
                metadata.update_column(column_name=name, sdtype=plain)
        model = synthesizer(metadata)
        model.fit({"table": train})
        return lambda rows: model.sample(rows)["table"]

    return fit


if __name__ == "__main__":
    work(
        "sdv",
        {
            "GaussianCopula": of(GaussianCopulaSynthesizer),
            "TVAE": of(TVAESynthesizer),
            "CTGAN": of(CTGANSynthesizer),
        },
    )
