"""What the tests of the rules share: parameters of every kind, a gradient for them, and stacks in NumPy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kit.rules.reference import Reference

# A scalar, a vector, a tall and a wide matrix, a convolution kernel whose flattened form is wide.
SHAPES = ((), (5,), (6, 3), (3, 7), (4, 3, 3, 2))


def arrays(seed: int, trials: int | None = None) -> list[np.ndarray]:
    """One array per shape; with `trials`, the same arrays for each trial, trials in front."""
    source = np.random.default_rng(seed)
    drawn = [np.asarray(source.normal(1.0, size=shape)) for shape in SHAPES]
    return drawn if trials is None else [np.repeat(p[None], trials, axis=0) for p in drawn]


class Bowl:
    """Gradients of ½ Σ a (p − c)² with noise that depends on the step alone, at parameters with or without trials."""

    def __init__(self, seed: int = 1) -> None:
        source = np.random.default_rng(seed)
        self.a = [source.uniform(0.2, 2.0, size=shape) for shape in SHAPES]
        self.c = arrays(seed + 1)
        self.step = 0

    def __call__(self, parameters: list[np.ndarray]) -> list[np.ndarray]:
        noise = np.random.default_rng([7, self.step])
        self.step += 1
        return [
            a * (p - c) + 0.5 * noise.normal(size=np.shape(c))
            for a, c, p in zip(self.a, self.c, parameters, strict=True)
        ]


def options_of(rule: type, given: dict[str, Any], trials: int = 1) -> tuple[Any, dict[str, np.ndarray]]:
    """(the rule made with its structure, its float hyperparameters as (trials,)), defaults filled in."""
    options = rule.record().options({k: v for k, v in given.items() if not isinstance(v, np.ndarray)})
    made = rule(**{h.name: options[h.name] for h in rule.all_hyperparameters() if h.structural})
    floats = {name: np.full(trials, options[name], dtype=np.float64) for name in made.float_names}
    floats |= {name: value for name, value in given.items() if isinstance(value, np.ndarray)}
    return made, floats


def reference(rule: type, parameters: list[np.ndarray], **given: Any) -> Reference:
    """A stack under `rule`; an option that is an array holds one value per trial."""
    made, floats = options_of(rule, given, len(parameters[0]))
    return Reference(made, parameters, floats)


@pytest.fixture
def rules() -> SimpleNamespace:
    return SimpleNamespace(SHAPES=SHAPES, arrays=arrays, Bowl=Bowl, options_of=options_of, reference=reference)
