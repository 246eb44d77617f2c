"""What the results say, in sentences made from the data: the headline, the verdicts, what did not finish."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kit.results.lanes import Lane
from kit.results.sensitivity import said_together as said_of_rates
from kit.results.verdicts import is_single, left_out, said_together
from kit.results.words import counted, listed, metric_words, number, plural

if TYPE_CHECKING:
    from kit.results.comparison import Comparison
    from kit.results.pairing import Setting
    from kit.results.results import Results

MOST_HEADLINES = 4
MANY_COMPARISONS = 24  # more than these are a frame to look things up in, not sentences to read


def headline(results: Results) -> list[str]:
    """The verdict in a sentence or two: which is best in each setting, and over which others that is shown."""
    runs = results.runs
    if not runs:
        return ["There are no runs."]
    if not any(run.status == "done" for run in runs):
        return [f"No run finished: {counted(_statuses(results))}."]
    comparisons = [item for item in results.compare() if item.question == "methods"]
    settings = _by_setting(comparisons)
    searches = rate_sentences(results)
    if searches and not any(setting.searched for setting, _ in settings):  # the rates themselves were compared
        return searches[:MOST_HEADLINES]
    if settings:
        return merged([_of_setting(setting, items, results) for setting, items in settings])[:MOST_HEADLINES]
    if len(results.lanes) == 1:
        return [_single(results.lanes[0], results)]
    return [frameworks_headline(results)]


def _by_setting(comparisons: Sequence[Comparison]) -> list[tuple[Setting, list[Comparison]]]:
    found: dict[int, tuple[Setting, list[Comparison]]] = {}
    for item in comparisons:
        found.setdefault(id(item.setting), (item.setting, []))[1].append(item)
    return list(found.values())


def _of_setting(setting: Setting, comparisons: Sequence[Comparison], results: Results) -> tuple[str, str]:
    """(where, what): the best of a setting, and against whom that is shown."""
    best, metric = setting.best, results.metric
    same, where = setting.shared, setting.lanes[0].place(setting.shared)
    if best is None:
        return where, "no method finished"
    mean = best.mean(metric, log=results.log_scale(metric))
    what = f"{best.named(same)} ends with the best {metric_words(metric)}, {number(mean.estimate)}"
    what += f" (95% interval {number(mean.low)} to {number(mean.high)})" if mean.n > 1 else ""
    by = {
        verdict: [item.b.named(same) for item in comparisons if item.verdict in verdicts]
        for verdict, verdicts in _GROUPS
    }
    parts = []
    if by["shown"]:
        parts.append(f"shown to be better than {listed(by['shown'])}")
    if by["open"]:
        parts.append(f"no difference is shown from {listed(by['open'])}")
    if by["alike"]:
        parts.append(f"the same as {listed(by['alike'])} for all that matters")
    if by["fixed"]:
        parts.append(f"better than {listed(by['fixed'])}, but nothing varies between the replicates")
    if by["silent"] and not all(is_single(item) for item in comparisons):
        parts.append(f"nothing can be said about its difference from {listed(by['silent'])}")
    return where, f"{what}: {'; '.join(parts)}" if parts else what


_GROUPS = (
    ("shown", ("lower", "higher")),
    ("open", ("not shown",)),
    ("alike", ("alike", "identical")),
    ("fixed", ("fixed",)),
    ("silent", ("no data",)),
)


def merged(said: Sequence[tuple[str, str]]) -> list[str]:
    """One sentence per setting; settings of which the very same is said, together."""
    groups: dict[str, list[str]] = {}
    for where, what in said:
        groups.setdefault(what, []).append(where)
    sentences = []
    for what, places in groups.items():
        where = listed(place for place in places if place)
        sentences.append(f"In {where}, {what}." if where else f"{what}.")  # a method's name is never capitalised
    return sentences


def rate_sentences(results: Results) -> list[str]:
    """What each search for a learning rate found."""
    return said_of_rates(results.searches())


def frameworks_headline(results: Results) -> str:
    """The first verdict on frameworks, where nothing else was compared."""
    comparisons = [item for item in results.compare() if item.question == "frameworks"]
    return (
        comparisons[0].sentence
        if comparisons
        else f"{plural(len(results.runs), 'run')}, of which none can be compared."
    )


def _single(lane: Lane, results: Results) -> str:
    mean = lane.mean(results.metric, log=results.log_scale(results.metric))
    where = f" (95% interval {number(mean.low)} to {number(mean.high)})" if mean.n > 1 else ""
    name = f"{lane.labels['optimizer']} on {lane.backend}"
    return f"{name} ends with a {metric_words(results.metric)} of {number(mean.estimate)}{where}: {lane.status}."


def _statuses(results: Results) -> dict[str, int]:
    counts: dict[str, int] = {}
    for lane in results.lanes:
        for status, count in lane.counts.items():
            counts[status] = counts.get(status, 0) + count
    return counts


def status_sentences(results: Results) -> list[str]:
    """One for each lane of which some runs did not finish, with the reason of the first."""
    said = []
    for lane in results.lanes:
        if lane.whole:
            continue
        missing = next(run for run in lane.runs if run.status != "done")
        text = left_out(lane, results.metric)
        said.append(f"{text} {missing.reason}".strip() if text else missing.reason)
    return said


def interruptions(results: Results) -> list[str]:
    """What happened on the way to runs that went on all the same."""
    found = [(run, run.record["interruptions"]) for run in results.runs if run.record.get("interruptions")]
    if not found:
        return []
    causes = Counter(str(cause).partition(": ")[2] or str(cause) for _, causes in found for cause in causes)
    (first, _), others = causes.most_common(1)[0], len(causes) - 1
    more = f" ({plural(others, 'other cause')} stand with the runs)" if others else ""
    runs = "1 run was" if len(found) == 1 else f"{len(found)} runs were"
    return [f"{runs} interrupted and taken up again: {first}{more}"]


def all_sentences(results: Results) -> list[str]:
    """The headline, the verdicts, what did not finish, and the parity measured. `results.notes` stand apart."""
    said = list(headline(results))
    said += rate_sentences(results)
    comparisons = results.compare()
    if len(comparisons) > MANY_COMPARISONS:
        said.append(f"{len(comparisons)} comparisons were made; `results.compare().frame` lists them.")
    else:
        # Of a lane without a finished run its status says all there is to say.
        told = [item for item in comparisons if item.a.finals(item.metric) and item.b.finals(item.metric)]
        said += said_together(told)
    said += comparisons.remarks
    said += [] if results.searches() else status_sentences(results)  # a search tells where it diverged
    said += interruptions(results)
    parity = results.parity()
    if parity.pairs:
        said += parity.sentences
    return list(dict.fromkeys(said))


def remarks(results: Results, settings: Sequence[Setting]) -> list[str]:
    """What holds for all comparisons: pairing, correction, selection."""
    said = []
    replicates = max((len(lane.runs) for lane in results.lanes), default=0)
    if replicates > 1 and settings:
        said.append(
            f"Replicates are paired: each method saw the same {replicates} splits, starts and orders of batches. "
            "Fix their number beforehand: adding more until something is shown spoils the p values."
        )
    searched = max((setting.searched for setting in settings), default=0)
    if searched > 1:
        said.append(
            f"Each method stands at the best of up to {searched} learning rates, chosen on these very runs, "
            "so its result is a little better than a fresh run's would be."
        )
    return said
