"""Did one experiment give the same curve in every framework? Read off the curves of runs alike in all but the backend.

The difference of two losses is |a − b| / max(|a|, |b|). It is stated over the first steps, where the promise holds, and
over the whole run: rounding grows along a trajectory, and past the stability limit a run diverges from itself.
`kit parity` measures more: it sets each difference beside that of a run whose start was changed by one unit in the
last place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kit.results.words import listed, number, plural, short

if TYPE_CHECKING:
    import pandas as pd

    from kit.results.run import Run

FIRST_STEPS = 100
# What is promised of the loss over the first steps, inside the stable range of learning rates. bfloat16: nothing.
PROMISED = {"float32": 1e-4, "float64": 1e-10}
READ_FROM = ("batch_loss", "train_loss")  # in order of preference: the first stands at every step


@dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """Two runs alike in all but the backend, and how far their losses differ."""

    one: Run
    other: Run
    metric: str
    steps: Any  # (points,), int64: those that both curves have
    a: Any  # (points,), float64: the losses of one
    b: Any  # (points,), float64: of the other
    differences: Any  # (points,), float64, relative

    @property
    def optimizer(self) -> str:
        return str(self.one.specification["optimizer"]["name"])

    @property
    def backends(self) -> tuple[str, str]:
        return str(self.one.specification["backend"]), str(self.other.specification["backend"])

    @property
    def first(self) -> float:
        """The largest difference over the first steps."""
        early = self.differences[self.steps <= FIRST_STEPS]
        return float(early.max()) if len(early) else math.nan

    @property
    def largest(self) -> float:
        return float(self.differences.max())

    @property
    def last(self) -> float:
        """The difference at the last step that both have."""
        return float(self.differences[-1])

    @property
    def promised(self) -> float:
        """The bound that is promised for the first steps; NaN where none is (a native optimizer, bfloat16)."""
        if self.one.specification["optimizer"].get("kind", "rule") != "rule":
            return math.nan
        return PROMISED.get(str(self.one.specification["dtype"]), math.nan)


class Parity:
    """What `Results.parity` gives: pairs of runs, as sentences and as a frame."""

    def __init__(self, pairs: Sequence[Pair], unmatched: int) -> None:
        self.pairs = tuple(pairs)
        self.unmatched = unmatched  # runs with a counterpart that has no curve to be held against

    @property
    def holds(self) -> bool | None:
        """Whether every pair of which something is promised keeps within it; None where there is none."""
        judged = [pair for pair in self.pairs if not math.isnan(pair.promised)]
        return all(pair.first <= pair.promised for pair in judged) if judged else None

    @property
    def frame(self) -> pd.DataFrame:
        """A row per pair: optimizer, seed, replicate, one, other, metric, first_100_steps, largest, last, promised."""
        import pandas as pd

        columns = ("optimizer", "seed", "replicate", "one", "other", "metric", f"first_{FIRST_STEPS}_steps",
                   "largest", "last", "promised")  # fmt: skip
        rows = [
            (
                pair.optimizer,
                pair.one.specification.get("seed", 0),
                pair.one.specification.get("replicate", 0),
                *pair.backends,
                pair.metric,
                pair.first,
                pair.largest,
                pair.last,
                pair.promised,
            )
            for pair in self.pairs
        ]
        return pd.DataFrame(rows, columns=list(columns))

    @property
    def sentences(self) -> list[str]:
        """What was measured, in words; one sentence saying why where nothing was."""
        if not self.pairs:
            return ["Parity was not measured: no two runs differ in nothing but the framework."]
        said = [self._overall()]
        missed = [pair for pair in self.pairs if pair.first > pair.promised]
        if missed:
            worst = max(missed, key=lambda pair: pair.first)
            names = listed(dict.fromkeys(pair.optimizer for pair in missed))
            said.append(
                f"That is beyond the promised {short(worst.promised)} in {plural(len(missed), 'pair')} of runs "
                f"({names}); near or past the stability limit a run differs from itself as much: "
                "`kit parity` tells the two apart."
            )
        elif self.holds:
            bounds = listed(dict.fromkeys(short(p.promised) for p in self.pairs if not math.isnan(p.promised)))
            said.append(f"That is within the promised {bounds}.")
        last = max(self.pairs, key=lambda pair: pair.last)
        if all(pair.largest == 0 for pair in self.pairs):
            return ["{} and {} give the same losses, bit for bit, to the end.".format(*self.pairs[0].backends)]
        said.append(
            f"At the end of the runs the largest difference is {number(last.last, 2)} ({last.optimizer}): rounding "
            "grows along the way, so nothing is promised there."
        )
        native = sorted({pair.optimizer for pair in self.pairs if math.isnan(pair.promised)})
        if native:
            said.append(
                f"Nothing is promised of {listed(native)}: a framework's own optimizer, or a reduced precision."
            )
        return said

    def _overall(self) -> str:
        worst = max(self.pairs, key=lambda pair: pair.first if not math.isnan(pair.first) else -1.0)
        names = listed(dict.fromkeys(name for pair in self.pairs for name in pair.backends))
        what = "loss of the batch" if worst.metric == "batch_loss" else "training loss"
        if worst.first == 0:
            return f"{names} gave bit for bit the same {what} over the first {FIRST_STEPS} steps."
        return (
            f"Over the first {FIRST_STEPS} steps the {what} differs between {names} by at most "
            f"{number(worst.first, 2)} of its value ({worst.optimizer}; {plural(len(self.pairs), 'pair')} of runs)."
        )

    def __str__(self) -> str:
        return " ".join(self.sentences)

    __repr__ = __str__

    def __len__(self) -> int:
        return len(self.pairs)


def parity_of(runs: Sequence[Run]) -> Parity:
    """All pairs of runs alike in all but the backend; of more than two frameworks, each against the first."""
    groups: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        labels = run.labels
        key = tuple(sorted((name, repr(value)) for name, value in labels.items() if name not in ("backend", "device")))
        groups.setdefault(key, []).append(run)
    pairs, unmatched = [], 0
    order = list(dict.fromkeys(run.specification["backend"] for run in runs))
    for group in groups.values():
        group.sort(key=lambda run: order.index(run.specification["backend"]))  # one order in all pairs
        for other in group[1:]:
            if other.specification["backend"] == group[0].specification["backend"]:
                continue
            pair = _pair(group[0], other)
            pairs += [pair] if pair else []
            unmatched += pair is None
    return Parity(pairs, unmatched)


def _pair(one: Run, other: Run) -> Pair | None:
    """None where the two have no step of a training loss in common."""
    import numpy as np

    for metric in READ_FROM:
        a, b = (_curve(run, metric) for run in (one, other))
        steps, i, j = np.intersect1d(a[0], b[0], assume_unique=True, return_indices=True)
        if not len(steps):
            continue
        x, y = a[1][i], b[1][j]
        differences = relative(x, y)
        finite = np.isfinite(differences)
        if finite.any():
            facts = {"steps": steps, "a": x, "b": y, "differences": differences}
            kept = {name: values[finite] for name, values in facts.items()}
            return Pair(one=one, other=other, metric=metric, **kept)
    return None


def relative(x: Any, y: Any) -> Any:
    """|x − y| / max(|x|, |y|): 0 where both are 0, 1 where one alone is not a finite number, NaN where both are not."""
    import numpy as np

    with np.errstate(invalid="ignore"):
        size = np.maximum(np.abs(x), np.abs(y))
        differences = np.divide(np.abs(x - y), size, out=np.zeros_like(size), where=size != 0)
    one_alone = np.isfinite(x) != np.isfinite(y)
    return np.where(one_alone, 1.0, differences)


def _curve(run: Run, metric: str) -> tuple[Any, Any]:
    import numpy as np

    points = run.points.get(metric)
    return (np.zeros(0, np.int64), np.zeros(0)) if points is None else (points["step"], points["value"])
