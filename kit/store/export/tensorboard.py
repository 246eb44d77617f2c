"""TensorBoard event files: one folder for each run, every metric a scalar."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kit.errors import MissingPackageError
from kit.outcome import Outcome
from kit.store.export.choices import flat
from kit.store.files import make_folder, writing


def tensorboard(outcomes: Sequence[Outcome], path: str) -> str:
    """Write `<path>/<run>/events.out.tfevents.…`, and the run's settings beside it. Needs tensorboardX."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise MissingPackageError(
            "Exporting to TensorBoard needs tensorboardX, which is not installed: pip install tensorboardX"
        ) from error
    for outcome in outcomes:
        folder = Path(path) / outcome.run_id
        with writing(folder):
            make_folder(folder)
            for old in folder.rglob("events.out.tfevents.*"):  # of an earlier export: its points would stand twice
                old.unlink()
            with SummaryWriter(logdir=str(folder)) as writer:
                _write(writer, outcome)
    return path


def _write(writer: Any, outcome: Outcome) -> None:
    writer.add_text("specification", f"```json\n{json.dumps(outcome.specification, indent=1)}\n```")
    writer.add_text("status", f"{outcome.status}: {outcome.reason}")
    for metric, step, seconds, value in outcome.curves[["metric", "step", "seconds", "value"]].itertuples(index=False):
        writer.add_scalar(metric, value, step, walltime=outcome.started + seconds)
    # In a folder of its own: the files of one folder are told apart by the second in which they were begun.
    settings = {name: _setting(value) for name, value in flat(outcome.specification)}
    writer.add_hparams(settings, {f"final/{name}": value for name, value in outcome.final.items()}, name="settings")


def _setting(value: Any) -> Any:
    """What the table of settings can hold: a number, a text or a truth."""
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)
