"""The lab as a picture and a sentence: for a notebook without a kernel, a page that shows no widgets, and ears."""

from __future__ import annotations

import base64
import math
import threading
from html import escape
from typing import TYPE_CHECKING, Any

from kit.errors import KitError
from kit.laboratory.tally import Progress, mean
from kit.results.words import listed, metric_words, number, plural

if TYPE_CHECKING:
    from kit.laboratory.form import Form
    from kit.laboratory.session import Session
    from kit.results import Results

DRAWING = threading.Lock()  # matplotlib's fonts are measured by one thread at a time
JUDGED = ("validation_loss", "train_loss", "batch_loss")


def setting_sentence(form: Form) -> str:
    """What the lab would do: `A lab that trains sgd and adam on digits with the model mlp (torch), 3 replicates …`"""
    places = dict.fromkeys(form.backend_of(lane) for lane in form.lanes)
    what = "" if form.objective else f" on {form.parts['dataset'].title}"
    replicates = form.settings["replicates"]
    times = "" if replicates.fault() else f", {plural(replicates.value(), 'replicate')} each"
    lanes = listed(form.lane_names()) or "nothing yet"
    return f"A lab that trains {lanes}{what} with the model {form.parts['model'].title} ({listed(places)}){times}."


def curves_sentence(session: Session) -> str:
    """What the curves show now, from the data; empty before the first reading."""
    if session.form is None:
        return ""
    tally = session.watch.tally
    metric = next((m for m in JUDGED if any(m in run.latest for run in tally.runs)), None)
    if metric is None:
        return ""
    found = []
    for lane, name in enumerate(session.form.lane_names()):
        runs = tally.of_lane(lane)
        found.append((mean(runs, metric), f"{name}: {lane_words(runs, metric)}"))
    found.sort(key=lambda pair: math.inf if math.isnan(pair[0]) else pair[0])
    words = metric_words(metric)
    return f"{words[:1].upper()}{words[1:]}, lowest first: {'; '.join(said for _, said in found)}."


def lane_words(runs: list[Progress], metric: str) -> str:
    """`0.131 after 500 steps (3 runs)`, `diverged at step 12 (1 of 3 runs)`."""
    value, steps = mean(runs, metric), max((run.read for run in runs), default=0)
    gone = [run for run in runs if run.status in ("diverged", "failed", "lost")]
    if math.isnan(value):
        return f"{gone[0].status}" if gone else "has no reading yet"
    said = f"{number(value)} after {plural(steps, 'step')}"
    return said + (f" ({len(gone)} of {len(runs)} {gone[0].status})" if gone else f" ({plural(len(runs), 'run')})")


def figure_of(results: Results) -> tuple[bytes, str] | None:
    """(PNG, the figure in words) of the curves; None where there is nothing to draw."""
    try:
        with DRAWING:
            chart = results.plot_curves()
            return chart.png(), chart.words
    except KitError:
        return None


def bundle(sentence: str, picture: bytes | None) -> dict[str, Any]:
    """Text, HTML and a picture, for whatever shows no widget."""
    data: dict[str, Any] = {"text/plain": sentence}
    if picture is None:
        data["text/html"] = f"<p>{escape(sentence)}</p>"
        return data
    encoded = base64.b64encode(picture).decode()
    image = f'<img alt="{escape(sentence)}" style="max-width:100%" src="data:image/png;base64,{encoded}">'
    data["text/html"] = f"<figure>{image}<figcaption>{escape(sentence)}</figcaption></figure>"
    data["image/png"] = encoded
    return data
