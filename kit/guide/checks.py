"""Checks whose failure says what to do, and exercises that may stay open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kit.errors import WorkError
from kit.guide.saying import say
from kit.results.words import sentence


class CheckFailed(WorkError, AssertionError):
    """A claim of a notebook does not hold in this run; the message says what to do."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the sentence, where a traceback would only lead into the kit."""
        return [f"✗ {self}"]


def check(claim: str, holds: Any, otherwise: str) -> None:
    """Say that a claim holds, or stop the notebook here with what to do.

    claim: a sentence. holds: anything true or false. otherwise: what to do where it is false, a sentence.
    Raises `CheckFailed`.
    """
    if not holds:
        raise CheckFailed(f"This does not hold: {sentence(claim)} {sentence(otherwise)}")
    say(f"✓ {sentence(claim)}")


def answer(name: str, given: Any) -> None:
    """Judge the answer to one of the notebooks' own exercises; never stops the notebook.

    name: of the exercise, see `kit.guide.exercises`. given: a number; `...` where there is none yet.
    Raises `UnknownNameError` for an exercise that there is not.
    """
    from kit.errors import unknown
    from kit.guide.exercises import EXERCISES

    if name not in EXERCISES:
        raise unknown("exercise", name, EXERCISES)
    asked = EXERCISES[name]
    exercise(given, lambda value: asked.low <= float(value) <= asked.high, asked.otherwise, asked.because)


def exercise(answer: Any, right: Callable[[Any], bool], otherwise: str, because: str = "") -> None:
    """Judge an answer that a reader writes into the cell, in place of `...`; never stops the notebook.

    answer: `...` where there is none yet. right: whether an answer is. otherwise: what to do with a wrong one, a
    sentence. because: why the right one is right, said once it is.
    """
    if answer is ...:
        say("Not answered yet: put your answer in the place of `...` and run this cell again.")
        return
    try:
        found = bool(right(answer))
    except Exception as error:  # an answer of another kind, such as a text for a number, is a wrong one
        say(f"Not yet: {type(error).__name__}: {error}. {sentence(otherwise)}")
        return
    say(f"✓ Right. {sentence(because) if because else ''}".strip() if found else f"Not yet. {sentence(otherwise)}")
