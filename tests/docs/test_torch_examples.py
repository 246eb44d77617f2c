"""The examples that need PyTorch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import kit  # noqa: E402
from kit.registry import Registry  # noqa: E402

pytestmark = pytest.mark.torch
DOCS = Path(__file__).parents[2] / "docs"


def example(install: Any, hook: str) -> None:
    install(f"kit-example-{hook}", (DOCS / "examples" / f"kit_{hook}.py").read_text(encoding="utf-8"))


def test_a_model_and_a_loss(install: Any, tmp_path: Path) -> None:
    for hook in ("models", "losses", "devices"):
        example(install, hook)
    common = {"backend": "torch", "batch_size": 8, "budget": 30}
    here = {"executor": "inline", "progress": False, "store": tmp_path}
    gated = kit.Experiment(dataset="iris", model=kit.model("gated", width=8), optimizer="adam", **common).run(**here)
    assert gated.status == "done", gated.reason
    loss = kit.Experiment(dataset="diabetes", model="linear", loss="log_cosh", optimizer="adam", **common).run(**here)
    assert loss.status == "done", loss.reason
    log_cosh = Registry.load().find("loss", "log_cosh", "torch")
    from kit.records import resolve

    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    torch.testing.assert_close(resolve(log_cosh.build)(x, torch.zeros_like(x)), torch.log(torch.cosh(x)))


def test_groups_keep_the_ratio_of_their_rates(tmp_path: Path) -> None:
    (source,) = re.findall(r"```python\n(import torch\n.*?)```", (DOCS / "cookbook.md").read_text("utf-8"), re.DOTALL)
    base = kit.Experiment(
        dataset="iris", model="linear", optimizer="adam", backend="torch", dtype="float64", batch_size=8, budget=1
    )
    names: dict[str, Any] = {"kit": kit, "base": base}
    exec(source, names)
    here = {"executor": "inline", "progress": False, "store": tmp_path}
    plain = base.replace(optimizer=kit.optimizer(torch.optim.SGD, lr=0.1))
    start = base.replace(optimizer=kit.optimizer(torch.optim.SGD, lr=0.0)).run(**here).parameters()
    slow, fast = names["experiment"].run(**here).parameters(), plain.run(**here).parameters()
    for name, ratio in (("weight", 1.0), ("bias", 0.1)):
        assert abs((slow[name] - start[name]) - ratio * (fast[name] - start[name])).max() < 1e-15
        assert abs(fast[name] - start[name]).max() > 1e-6
