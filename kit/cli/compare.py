"""`kit compare`: train several optimizers in several backends, and say which differences are real."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kit.cli.output import Document, as_json, console, say
from kit.errors import InvalidValueError, StoreError
from kit.levers import LEVERS
from kit.parallel import FIELDS as DEVICES

if TYPE_CHECKING:
    from kit.results import Results
    from kit.study import Study

FIELDS = ("dataset", "target", "model", "loss", "schedule", "batch_size", "seed", "dtype", "device")
DEFAULT_OUT = "kit-compare"
FAILED = {"failed", "lost"}
INTERRUPTED = 130  # as shells have it: 128 + SIGINT


@click.command()
@click.option("--dataset", help="A dataset's name, or a CSV or Parquet file with --target.  [default: digits]")
@click.option("--target", help="The column to predict, for a table of your own.")
@click.option("--model", help="A model's name.  [default: mlp]")
@click.option("--loss", help="A loss's name.  [default: the one that suits the data]")
@click.option("--optimizer", help="Names, separated by commas.  [default: gd,sgd,minibatch,adam]")
@click.option("--backend", help="Names, separated by commas.  [default: every one that is installed]")
@click.option("--learning-rate", help="One for all (0.1), or each its own (adam=0.001,sgd=0.05).")
@click.option("--schedule", help="A learning-rate schedule's name.  [default: constant]")
@click.option(
    "--batch-size", type=int, help="Samples in a step; gd uses all and sgd one, whatever it says.  [default: 64]"
)
@click.option("--steps", type=int, help="Updates of each run.  [default: 500]")
@click.option("--epochs", type=float, help="Passes over the training data, instead of steps.")
@click.option("--seconds", type=float, help="Training time of each run, instead of steps.")
@click.option("--replicates", type=int, help="Runs of each, with paired seeds.  [default: 3]")
@click.option("--seed", type=int, help="Root of everything random.  [default: 0]")
@click.option("--dtype", help="float32, float64 or bfloat16.  [default: float32]")
@click.option("--gradient-accumulation", type=int, help="Parts of its batch in which a step's gradient is taken.")
@click.option("--activation-checkpointing", is_flag=True, default=None, help="Compute activations again; less memory.")
@click.option("--device", help="cpu, cuda, cuda:1, mps, …  [default: cpu]")
@click.option("--devices", type=int, help="Devices that share each run, of the kind of --device.  [default: 1]")
@click.option("--parallel", help="By what means: ddp, fsdp, mirrored, …  [default: the backend's first]")
@click.option("--executor", default="processes", show_default=True, help="Where the runs are carried out.")
@click.option("--retry-failed", is_flag=True, help="Try again what failed before; else only the interrupted continue.")
@click.option("--store", type=click.Path(), help="Folder that keeps the runs.  [default: KIT_STORE, or runs]")
@click.option("--out", type=click.Path(), default=DEFAULT_OUT, show_default=True, help="Folder for the report.")
@click.option("--from", "source", type=click.Path(), help="A study.json to run again, instead of options.")
@click.option("--trust", is_flag=True, help="Import and run the classes and functions of your own that --from names.")
@as_json
@click.pass_obj
def compare(
    document: Document,
    /,
    as_json: bool,
    source: str | None,
    trust: bool,
    executor: str,
    retry_failed: bool,
    store: str | None,
    out: str,
    **options: Any,
) -> int:
    """Train optimizers side by side, from the same weights and over the same batches, and compare them.

    Without any option: gradient descent, stochastic gradient descent, mini-batch gradient descent and Adam, in every
    backend that is installed, on handwritten digits. Leaves report.html, curves.png, curves.parquet and study.json.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if source is not None and given:
        raise InvalidValueError(
            f"--from runs the study as it is; leave out {', '.join('--' + n.replace('_', '-') for n in given)}."
        )
    study = read_study(source, trust) if source is not None else study_of(given)
    folder = prepared_folder(out)
    results = study.run(store=store, executor=executor, progress=True, retry_failed=retry_failed)
    files = leave(results, study, folder)
    if as_json:
        document.set(described(results, files))
    else:
        show(results, files)
    statuses = {run.status for run in results.runs}
    if "stopped" in statuses or study.stopped:
        return INTERRUPTED
    return 1 if results.notes or statuses & FAILED else 0


def read_study(path: str, trust: bool = False) -> Study:
    from kit.study import Study

    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"--from {path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    return Study.from_json(text, trust)


def study_of(given: dict[str, Any]) -> Study:
    """The options as a study. Raises `InvalidValueError` for what contradicts itself."""
    from kit.api import MISSION, comparison

    budgets = [unit for unit in ("steps", "epochs", "seconds") if unit in given]
    if len(budgets) > 1:
        raise InvalidValueError(
            f"A budget is one of --steps, --epochs and --seconds; got {' and '.join('--' + b for b in budgets)}."
        )
    fields: dict[str, Any] = {name: given[name] for name in (*FIELDS, *LEVERS, *DEVICES) if name in given}
    if budgets:
        fields["budget"] = {budgets[0]: given[budgets[0]]}
    study: Study = comparison(
        names(given.get("optimizer")) or MISSION,
        names(given.get("backend")) or None,
        replicates=given.get("replicates", 3),
        learning_rate=rates(given.get("learning_rate")),
        **fields,
    )
    return study


def names(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def rates(text: str | None) -> float | dict[str, float] | None:
    """`0.1` or `adam=0.001,sgd=0.05`."""
    if text is None:
        return None
    try:
        if "=" not in text:
            return float(text)
        pairs = [part.split("=", 1) for part in names(text)]
        return {name.strip(): float(value) for name, value in pairs}
    except ValueError:
        raise InvalidValueError(
            f"--learning-rate={text} is not valid; it must be a number, as in 0.1, or one for each, as in "
            f"adam=0.001,sgd=0.05."
        ) from None


def prepared_folder(out: str) -> Path:
    """The folder, made before training, so that a mistake in its name costs no work."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".kit-write-test"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StoreError(f"--out {out} cannot be written: {error.strerror or error}.") from None
    return folder


def leave(results: Results, study: Study, folder: Path) -> dict[str, str]:
    """Write the files; returns where each is. Without a single evaluated run there is nothing to draw or report."""
    files = {"study.json": folder / "study.json"}
    try:
        files["study.json"].write_text(study.to_json(), encoding="utf-8")
        if any(run.cost.steps for run in results.runs):
            files |= {name: folder / name for name in ("report.html", "curves.png", "curves.parquet")}
            results.to_parquet(files["curves.parquet"])
            results.plot_curves().savefig(files["curves.png"], dpi=150)
            results.report(files["report.html"], study=study)
    except OSError as error:
        raise StoreError(
            f"The report cannot be written to {folder}: {error.strerror or error}. The runs are kept."
        ) from error
    return {name: str(path) for name, path in files.items()}


def described(results: Results, files: dict[str, str]) -> dict[str, Any]:
    """The comparison as one JSON document."""
    return {
        "runs": results.summary.astype(object).to_dict(orient="records"),
        "comparisons": [vars(c) if not hasattr(c, "document") else c.document() for c in results.compare()],
        "sentences": list(results.sentences()),
        "parity": str(results.parity()),
        "notes": list(results.notes),
        "files": files,
    }


def show(results: Results, files: dict[str, str]) -> None:
    """The table, the verdicts, what went wrong, and where the files are."""
    out = console()
    if any(run.cost.steps for run in results.runs):
        out.print(results.table())
        out.print()
        for sentence in results.sentences():
            say(out, sentence)
    else:
        for run in results.runs:
            say(out, f"{run.specification['optimizer']['name']} · {run.specification['backend']}: {run.reason}")
    if any(run.status in ("stopped", "lost") for run in results.runs):
        say(out, "Continue what was stopped or lost with `kit resume`.")
    for sentence in results.notes:
        say(out, sentence, "yellow")
    out.print()
    for name, path in files.items():
        say(out, f"{name:<16}{path}")
