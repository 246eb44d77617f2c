"""Writes docs/native-optimizers.md: what became of every native optimizer when it was tried.

python -m tests.natives.table             # one process for each framework; about two minutes
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from kit.registry import Registry
from tests.natives.plugins import ROOT, places

STEPS = 60
PAGE = ROOT / "docs" / "native-optimizers.md"
PACKAGES = {
    "torch": "torch.optim",
    "pytorch_optimizer": "pytorch_optimizer 4.1",
    "schedulefree": "schedulefree 1.4",
    "keras": "keras.optimizers",
}
OPENING = f"""# Native optimizers

descentkit runs optimizers that others have written as they are: every class of `torch.optim` and `keras.optimizers`,
and with the plugins in `plugins/pytorch-optimizer` and `plugins/schedulefree` those of pytorch_optimizer and
schedulefree. They mean by their words what their authors mean, and stand outside the promise of parity.

What an optimizer needs beyond the plain loop of `backward()` and `step()` is said on its record (`kit.needs.Needs`).
The adapter of each framework knows the needs, and no optimizer by name. Your own class says them itself:

```python
class Sharp(torch.optim.Optimizer):
    kit_needs = kit.needs.Needs(closure="after", evaluations=2)
```

Each was tried with its own defaults, {STEPS} steps on the digits (an MLP of 32 units, batches of 64) and {STEPS} on a
quadratic function of two numbers (not those that take matrices only): it must stay finite, lower the loss of both, take
as many gradients as its needs say, and be the same to the last bit after it was stored (without pickle) and taken up
again, and after it was evaluated in between. Where its own learning rate does not do, a tenth, a hundredth or ten times
of it was tried, and then all samples in every step. `python -m tests.natives.table` writes this page.
"""


def tried(backend: str) -> dict[str, Any]:
    """name -> what was found (`tests.natives.trial.Found`), from a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.pathsep.join([str(ROOT), *places(Path(folder)), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-W", "ignore", "-m", "tests.natives.trial", backend, str(STEPS)]
        environment = {**os.environ, "PYTHONPATH": path}
        done = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def needs() -> dict[str, str]:
    """name -> its needs in words."""
    with tempfile.TemporaryDirectory() as folder:
        sys.path[:0] = places(Path(folder))
        records = [offer.record for offer in Registry.load().optimizers]
    return {record.name: record.needs.said() for record in records if record.native}


def cannot() -> dict[str, str]:
    """The names that are not offered, and why."""
    from kit_pytorch_optimizer.names import CANNOT

    found = {f"pytorch_optimizer.{name}": why for name, why in CANNOT.items()}
    found["torch.SparseAdam"] = "it takes sparse gradients only, which a dense model does not give"
    return found


def verdict(found: dict[str, Any]) -> str:
    if found["fault"]:
        return f"no: {found['fault']}".replace("|", "\\|")
    rate = "with defaults" if found["share"] == 1 else f"at {found['share']:g} of its learning rate"
    return f"{rate}, on all samples at once" if found["whole"] else rate


def page(results: dict[str, Any]) -> str:
    said, left_out = needs(), cannot()
    parts, totals = [], []
    for package, title in PACKAGES.items():
        names = sorted((n for n in results if n.partition(".")[0] == package), key=str.lower)
        others = sorted(n for n in left_out if n.partition(".")[0] == package)
        running = [n for n in names if not results[n]["fault"]]
        plain = [n for n in running if results[n]["share"] == 1 and not results[n]["whole"]]
        totals.append(f"| {title} | {len(names) + len(others)} | {len(running)} | {len(plain)} | {len(others)} |")
        parts += [
            f"\n## {title}\n",
            "| name | runs | loss of the digits | gradients a step | needs |",
            "|---|---|---|---|---|",
        ]
        for name in names:
            found = results[name]
            loss = f"{found['before']['digits']:.3g} → {found['after']['digits']:.3g}" if found["after"] else ""
            line = [name, verdict(found), loss, f"{found['evaluations']:.3g}", said[name] or "nothing"]
            parts.append(f"| {' | '.join(line)} |")
        parts += [f"| {name} | cannot: {left_out[name]} | | | |" for name in others]
    head = ["\n| | names | run | of them with defaults | cannot |", "|---|---|---|---|---|", *totals]
    return "\n".join([OPENING.rstrip(), *head, *parts]) + "\n"


def main() -> None:
    PAGE.write_text(page({**tried("torch"), **tried("tensorflow")}), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
