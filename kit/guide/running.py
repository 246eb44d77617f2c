"""Training from a notebook's cell, `await guide.run(study)`: a bar, a Stop button, and a kernel that stays free.

ipykernel hears no button while a cell blocks it, so the work goes to worker processes, a thread waits for them, and the
cell awaits the thread. What that thread hears it writes to traits of a widget, never to the cell's output, which would
lose it. How it ended is written to both: a page that was reloaded in the middle has the widget only.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, overload

from kit.errors import WorkError
from kit.guide.saying import WIDGET, bundle, controls, put, say
from kit.progress import Counts
from kit.results.words import counted, number, plural

if TYPE_CHECKING:
    from kit.experiment import Experiment
    from kit.results import Results, Run
    from kit.study import Study

UNFORESEEN = ("failed", "lost")  # endings that no lesson is about
EVERY_SECONDS = 0.1  # the bar moves at most so often


class Unfinished(WorkError):
    """The training was stopped, or never began, so the notebook cannot go on from here; the message says what to do."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the sentence, where a traceback would only lead into the kit."""
        return [f"✗ {self}"]


@overload
async def run(work: Experiment, *, whole: bool = True, **options: Any) -> Run: ...
@overload
async def run(work: Study, *, whole: bool = True, **options: Any) -> Results: ...
async def run(work: Any, *, whole: bool = True, **options: Any) -> Any:
    """Train an experiment (its `Run`) or a study (its `Results`), with a bar and a Stop button.

    whole: where runs were stopped before their end, the notebook stops here too, with a sentence, for what follows in a
    lesson is about whole runs; False gives what there is. options: `store`, `executor`, `registry`, as in `Study.run`.
    Stopped runs keep what they have, and running the cell again continues them; cancelling the cell stops it cleanly.
    Why a run failed or was lost is said once. Raises `Unfinished` where it was stopped, or no worker could be had.
    """
    from kit.experiment import Experiment
    from kit.study import Study

    study = Study.over(work, {}) if isinstance(work, Experiment) else work
    bar = Bar(study)
    try:
        results = await study.start(progress=bar, **options)
    except WorkError as error:
        bar.over([str(error)])
        raise Unfinished(f"{error} Run this cell again to train.") from None
    except BaseException:  # a cancelled cell's too: nobody is left to press Stop
        bar.over(["The training did not come to its end; run this cell again."])
        raise
    said = ending(results)
    bar.over(said)
    if whole and was_cut_short(study, results):
        raise Unfinished(" ".join([*said, "Run this cell again, and what was stopped goes on to its end."]))
    say(said)
    return results.runs[0] if isinstance(work, Experiment) else results


async def probe(experiment: Experiment, name: str, **options: Any) -> dict[str, float]:
    """What a probe reads where an experiment starts, before any step: curve name -> value.

    name, options: of the probe, as in `kit.probe`. Raises `WorkError` where nothing was read, with the reason.
    """
    from kit.api import probe as chosen
    from kit.experiment import Budget

    measuring = experiment.replace(probes=(chosen(name, **options),), budget=Budget(steps=1), evaluate_every=1)
    run = await measuring.start(progress=False)  # however its one step ends: what is read stands before it
    curves = run.outcome.curves
    at_start = curves[curves["step"] == 0]
    values = {str(metric): float(value) for metric, value in zip(at_start["metric"], at_start["value"], strict=True)}
    if not values:
        raise WorkError(f"The probe '{name}' read nothing: {run.reason}")
    return values


class Bar:
    """Progress of a study as a widget. See `kit.progress.Progress`."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.counts = Counts([])
        self.told = 0.0
        self.view: Any = None
        widgets = controls()
        if widgets is not None:
            self.view = widgets.Training(words=f"{plural(len(study), 'run')}: waiting for a worker")
            self.view.observe(lambda _: study.stop(), "stopping")
            # Without words: they stand below once all has ended, and nbval counts outputs by their kinds.
            put({WIDGET: bundle([], self.view)[WIDGET]})

    def begin(self, runs: list[tuple[str, dict[str, Any]]], found: int) -> None:
        self.counts = Counts(runs)
        self.found = found

    def record(self, run_id: str, record: dict[str, Any]) -> None:
        self.counts.hear(run_id, record)
        now = time.monotonic()
        if self.view is not None and (now - self.told > EVERY_SECONDS or record["kind"] == "end"):
            self.told = now
            self.tell()

    def tell(self) -> None:
        lines = dict.fromkeys(self.counts.line.values())
        done, goal = (sum(both) for both in zip(*(self.counts.total(line) for line in lines), strict=True))
        lowest = min(self.counts.loss.values(), default=None)
        ended = f"{len(self.counts.ended)} of {plural(len(self.counts.line), 'run')} ended"
        with self.view.hold_sync():
            self.view.share = done / goal if goal else 1.0
            self.view.words = ended + (f", lowest loss {number(lowest)}" if lowest is not None else "")

    def note(self, sentence: str) -> None:
        """Notes are said at the end, in the cell's own thread."""

    def close(self) -> None:
        """Nothing to give back."""

    def over(self, said: list[str]) -> None:
        """The bar gives way to what is said of the end."""
        if self.view is not None:
            self.view.said = said


def ending(results: Results) -> list[str]:
    """How the runs ended: the same sentences on every machine."""
    counts: dict[str, int] = {}
    for run in results.runs:
        counts[run.status] = counts.get(run.status, 0) + 1
    reasons = dict.fromkeys(run.reason for run in results.runs if run.status in UNFORESEEN)
    return [f"{plural(len(results.runs), 'run')}: {counted(counts)}.", *reasons, *results.notes]


def was_cut_short(study: Study, results: Results) -> bool:
    """Whether runs were stopped on request, or before they began."""
    return any(run.status == "stopped" for run in results.runs) or (study.stopped and len(results.runs) < len(study))
