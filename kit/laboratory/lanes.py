"""A lane: an optimizer with its settings, trained as often as there are replicates, drawn in a colour of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from kit.errors import InvalidValueError
from kit.laboratory.part import Part
from kit.results.words import label_words

MOST = 6


@dataclass(frozen=True, kw_only=True)
class Lane:
    """`backend`: "" for the lab's. `look`: which colour and marker; it stays when other lanes go."""

    part: Part
    backend: str = ""
    look: int = 0


def added(lanes: Sequence[Lane], part: Part, backend: str = "") -> tuple[Lane, ...]:
    """One lane more, in the first look that is free. Raises `InvalidValueError` when there are enough."""
    if len(lanes) >= MOST:
        raise InvalidValueError(f"The lab has {MOST} lanes, which is as many as can be told apart; remove one first.")
    free = next(look for look in range(MOST) if look not in {lane.look for lane in lanes})
    return (*lanes, Lane(part=part, backend=backend, look=free))


def at(lanes: Sequence[Lane], number: int, **changes: Any) -> tuple[Lane, ...]:
    """Lane `number`, from 0, changed. Raises `InvalidValueError` where there is none."""
    if not 0 <= number < len(lanes):
        raise InvalidValueError(f"There is no lane {number + 1}; the lab has {len(lanes)}.")
    return tuple(replace(lane, **changes) if i == number else lane for i, lane in enumerate(lanes))


def names(lanes: Sequence[Lane], backends: Sequence[str]) -> list[str]:
    """What each lane is called: its optimizer, and no more than tells it from the others.

    backends: where each trains. `adam`, `adam · torch`, `sgd at 0.1`, `momentum at 0.1, momentum 0.5`, `adam (2)`.
    """
    titles = [lane.part.title for lane in lanes]
    several = len(set(backends)) > 1
    places = [f"{title} · {backend}" if several else title for title, backend in zip(titles, backends, strict=True)]
    found = []
    for i, place in enumerate(places):
        alike = [lanes[j].part for j, other in enumerate(places) if other == place]
        found.append(_with_settings(titles[i], lanes[i].part, alike) + place.removeprefix(titles[i]))
    counts, seen = Counter(found), Counter[str]()
    for i, name in enumerate(found):
        seen[name] += 1
        if counts[name] > 1 and seen[name] > 1:
            found[i] = f"{name} ({seen[name]})"
    return found


def _with_settings(title: str, part: Part, alike: Sequence[Part]) -> str:
    """The title with the settings in which lanes of the same optimizer differ."""
    said = []
    for name, control in part.controls.items():
        texts = {other.controls[name].text for other in alike if name in other.controls}
        if len(texts) > 1 and name == "learning_rate":
            title = f"{title} at {control.text or '?'}"
        elif len(texts) > 1:
            said.append(label_words(name, control.text))
    return ", ".join([title, *said])
