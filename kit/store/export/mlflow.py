"""MLflow runs: parameters, metrics by step, tags. An export: as a store MLflow takes 9 ms a step."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from kit.errors import MissingPackageError, StoreError
from kit.outcome import Outcome
from kit.store.export.choices import flat

EXPERIMENT = "descentkit"
TAG = "descentkit.run_id"
_STATUSES = {"done": "FINISHED", "stopped": "KILLED"}  # the rest is FAILED
_METRICS_AT_ONCE, _PARAMETERS_AT_ONCE = 1000, 100  # MLflow's limits
_TEXT_LIMIT = 500
_OPT_IN = "MLFLOW_ALLOW_FILE_STORE"


def mlflow(outcomes: Sequence[Outcome], path: str) -> str:
    """Write the runs into the experiment `descentkit` of an MLflow store; returns its tracking address.

    Needs mlflow-skinny; for a database, also sqlalchemy and alembic (the package mlflow has both).
    """
    try:
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise MissingPackageError(
            "Exporting to MLflow needs MLflow, which is not installed: pip install mlflow-skinny"
        ) from error
    address = _address(path)
    try:
        with _folders_allowed():
            client = MlflowClient(tracking_uri=address)
            for outcome in outcomes:
                _write(client, _experiment(client), outcome)
    except ImportError as error:
        raise MissingPackageError(
            f"Exporting to the MLflow database {address} needs a package that is missing ({error}): pip install mlflow"
        ) from error
    except (MlflowException, OSError) as error:
        raise StoreError(f"MLflow cannot write to {address}: {error}") from error
    return address


def _address(path: str) -> str:
    if "://" in path:
        return path
    whole = Path(path).absolute()
    return f"sqlite:///{whole}" if whole.suffix in (".db", ".sqlite", ".sqlite3") else whole.as_uri()


@contextmanager
def _folders_allowed() -> Iterator[None]:
    """MLflow 3 writes folders only when asked explicitly; naming one is asking."""
    before = os.environ.get(_OPT_IN)
    os.environ[_OPT_IN] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_OPT_IN]
        else:
            os.environ[_OPT_IN] = before


def _experiment(client: Any) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    return str(found.experiment_id if found else client.create_experiment(EXPERIMENT))


def _write(client: Any, experiment: str, outcome: Outcome) -> None:
    from mlflow.entities import Metric, Param, RunTag

    for old in client.search_runs([experiment], filter_string=f"tags.`{TAG}` = '{outcome.run_id}'"):
        client.delete_run(old.info.run_id)
    started = int(outcome.started * 1000)
    run = client.create_run(experiment, start_time=started, run_name=outcome.run_id).info.run_id
    tags = [RunTag(TAG, outcome.run_id), RunTag("status", outcome.status), RunTag("reason", outcome.reason)]
    client.log_batch(run, tags=tags)
    settings = flat(outcome.specification)
    while batch := list(islice(settings, _PARAMETERS_AT_ONCE)):
        client.log_batch(run, params=[Param(_name(name), _text(value)) for name, value in batch])
    rows = outcome.curves[["metric", "step", "seconds", "value"]].itertuples(index=False)
    while points := list(islice(rows, _METRICS_AT_ONCE)):
        metrics = [
            Metric(_name(metric), float(value), started + int(seconds * 1000), int(step))
            for metric, step, seconds, value in points
        ]
        client.log_batch(run, metrics=metrics)
    ended = started + int(outcome.cost.seconds * 1000)
    client.set_terminated(run, _STATUSES.get(outcome.status, "FAILED"), ended)


def _name(text: str) -> str:
    """A name that MLflow takes."""
    return re.sub(r"[^\w\-. :/]", "_", text)


def _text(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value))[:_TEXT_LIMIT]
