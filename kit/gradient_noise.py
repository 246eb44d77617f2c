"""The gradient noise scale: the batch size at which a batch's gradient is as much noise as signal.

    B = tr Σ / ‖G‖²

with G the gradient of the mean loss over the training data and Σ the covariance of single samples' gradients. A batch
of b ≪ B samples pays for itself in full (twice the batch, half the steps); one of b ≫ B hardly lowers the number of
steps any more. McCandlish, Kaplan, Amodei & the OpenAI Dota Team, "An Empirical Model of Large-Batch Training", 2018,
arXiv:1812.06162, equation 2.9 (there 𝓑_simple).

Gradients G_j of m disjoint batches of b samples give both parts without bias:

    tr Σ = b/(m − 1) · Σ_j ‖G_j − Ḡ‖²,      ‖G‖² = ‖Ḡ‖² − tr Σ · (1/(m b) − 1/n)

n being the number of training samples: where the batches hold all of them, Ḡ is G itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kit.curvature import flattened
from kit.probes import Snapshot

if TYPE_CHECKING:
    Floats = np.ndarray[Any, np.dtype[np.float64]]


def noise_scale(gradients: Floats, batch: int, rows: int) -> tuple[Floats, Floats, Floats]:
    """(B, tr Σ, ‖G‖²) of each trial, (N,) each, from gradients (m, N, size) over batches of so many of the rows.

    B is NaN where ‖G‖² is estimated at 0 or less: the noise hides it; more batches may show it.
    """
    count = len(gradients)
    mean = gradients.mean(axis=0)
    trace = batch / (count - 1) * np.sum((gradients - mean) ** 2, axis=(0, 2))
    square = np.sum(mean**2, axis=1) - trace * (1 / (count * batch) - 1 / rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(square > 0, trace / square, np.nan), trace, square


class GradientNoise:
    """B as the curve `gradient_noise_scale`, in samples, and tr Σ as `gradient_variance`, where the run stands.

    batch: samples of a batch; batches: how many are drawn, at most, without repeats, the same at every reading.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"asking"})

    def __init__(self, batch: int = 16, batches: int = 64) -> None:
        self.batch, self.batches = batch, batches

    def read(self, snapshot: Snapshot) -> dict[str, Any]:
        asking = snapshot.asking
        assert asking is not None
        batch = min(self.batch, max(1, asking.rows // 2))
        count = min(self.batches, asking.rows // batch)
        drawn = np.random.default_rng(0).permutation(asking.rows)[: count * batch].reshape(count, batch)
        gradients = [flattened(asking.gradient(np.tile(rows, (asking.replicates, 1)))) for rows in drawn]
        scale, trace, _ = noise_scale(np.array(gradients), batch, asking.rows)
        return {"gradient_noise_scale": scale, "gradient_variance": trace}
