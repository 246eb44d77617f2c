"""Titles that say the finding, and no more than was shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.results.comparison import Comparison, compare_lanes
from kit.results.metrics import is_accuracy
from kit.results.words import listed, metric_words

if TYPE_CHECKING:
    from kit.results.results import Results

MOST_NAMED = 4  # methods in a title
OPEN = ("not shown", "no data", "fixed")


def standing(results: Results, metric: str) -> str:
    """Which method ends best, where, and which others it is not shown to differ from."""
    words = metric_words(metric)
    if not any(run.status == "done" for run in results.runs):
        return f"No run finished, so none has a final {words}"
    groups: dict[int, list[Comparison]] = {}
    for item in compare_lanes(results.lanes, metric, "best", judged_by=metric):
        if item.question == "methods" and item.setting.best is not None:
            groups.setdefault(id(item.setting), []).append(item)
    found: dict[tuple[str, str], list[str]] = {}
    for items in groups.values():
        setting = items[0].setting
        assert setting.best is not None, "settings without a best lane are left out above"
        shared = setting.shared
        found.setdefault((setting.best.named(shared), _tail(items)), []).append(setting.best.place(shared))
    if len({best for best, _ in found}) == 1 and len(found) > 1:  # one best, but not the same is shown everywhere
        (best, _), *_ = found
        found = {
            (best, ", not shown to differ from some others"): [place for places in found.values() for place in places]
        }
    which = "highest" if is_accuracy(metric) else "lowest"
    parts = [
        f"{best} ends with the {which} {words}{f' in {listed(filter(None, places))}' if any(places) else ''}{tail}"
        for (best, tail), places in found.items()
    ]
    return "; ".join(parts) if 0 < len(parts) <= 2 else f"{words[:1].upper()}{words[1:]} while training"


def _tail(items: list[Comparison]) -> str:
    """What the best is not shown to differ from; runs of which there is one each show nothing."""
    if all(len(lane.runs) == 1 for item in items for lane in (item.a, item.b)):
        return " (one run each)"
    same = items[0].setting.shared
    unproven = [item.b.named(same) for item in items if item.verdict in OPEN and item.b.finals(item.metric)]
    alike = [item.b.named(same) for item in items if item.verdict in ("alike", "identical")]
    parts = [f"not shown to differ from {_short(unproven)}"] if unproven else []
    parts += [f"the same as {_short(alike)}"] if alike else []
    return "".join(f", {part}" for part in parts)


def _short(names: list[str]) -> str:
    return listed(names) if len(names) <= MOST_NAMED else f"{len(names)} others"
