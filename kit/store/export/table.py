"""One tidy table of all curves: a row per run, metric and step, with the run's choices beside it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kit.outcome import Outcome
from kit.store.curves import frame
from kit.store.export.choices import columns
from kit.store.files import replace_file, writing

if TYPE_CHECKING:
    import pandas as pd


def table(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Columns: run_id, status, the choices, and those of `Outcome.curves`."""
    import pandas as pd

    parts = []
    for outcome in outcomes:
        part = outcome.curves.copy()
        for position, (name, value) in enumerate(columns(outcome).items()):
            part.insert(position, name, value)
        parts.append(part)
    return pd.concat(parts, ignore_index=True) if parts else frame({}, 1)


def csv(outcomes: Sequence[Outcome], path: str) -> str:
    """Comma-separated, UTF-8, numbers in full precision; `nan`, `inf` and `-inf` as such."""
    text = table(outcomes).to_csv(index=False, na_rep="nan")
    return _write(path, text.encode())


def parquet(outcomes: Sequence[Outcome], path: str) -> str:
    """Parquet, for any data frame library; what is not a number is NaN, what was not chosen is null."""
    import pyarrow as pa
    from pyarrow.parquet import write_table

    found = table(outcomes)
    # Column by column: pandas' own way writes NaN, which a diverged loss is, as null.
    columns = {name: pa.array(found[name].to_numpy(), from_pandas=False) for name in found.columns}
    buffer = io.BytesIO()
    write_table(pa.table(columns), buffer)
    return _write(path, buffer.getvalue())


def _write(path: str, data: bytes) -> str:
    target = Path(path)
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, [data])
    return path
