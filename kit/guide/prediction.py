"""Predictions: a question answered before the experiment, and compared with what happened, in a sentence.

In a notebook the question is a row of radio buttons or a field for a number, all within reach of the keyboard, and the
kernel never waits for it: until somebody answers, the default stands, and the sentence says so. Answering afterwards
changes the sentence where it stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from kit.errors import InvalidValueError, unknown
from kit.guide.saying import bundle, controls, put
from kit.results.words import number, sentence


class Asked:
    """A question with its answer. `answer` is None until somebody gives one; `value` is then the default."""

    def __init__(self, question: str, default: Any) -> None:
        self.question, self.default = question, default
        self.answer: Any = None
        self._heard: list[Callable[[], None]] = []
        self._widget: Any = None

    @property
    def value(self) -> Any:
        """What was predicted, or the default."""
        return self.default if self.answer is None else self.answer

    def say(self, answer: Any) -> None:
        """Answer it; raises `UnknownNameError` or `InvalidValueError` for what is no answer."""
        self.answer = self.checked(answer)
        for listener in self._heard:
            listener()

    def checked(self, answer: Any) -> Any:
        raise NotImplementedError

    def texts(self) -> list[str]:
        """The question in words, for a page without a kernel."""
        raise NotImplementedError

    def control(self, widgets: Any) -> Any:
        """The widget that asks and answers, of `kit.guide.controls`."""
        raise NotImplementedError

    def _ipython_display_(self) -> None:
        widgets = controls()
        if widgets is not None and self._widget is None:
            self._widget = self.control(widgets)
        put(bundle(self.texts(), self._widget))

    def reveal(self, outcome: Callable[[], list[str]]) -> None:
        """Show sentences now, and again in their place whenever the answer changes."""
        widgets, view = controls(), None
        if widgets is not None:
            view = widgets.Sentences(said=outcome())

            def listen() -> None:
                view.said = outcome()

            self._heard.append(listen)
        put(bundle(outcome(), view))


class Prediction(Asked):
    """One of several answers. choices: key -> what is shown."""

    def __init__(self, question: str, choices: Mapping[str, str], default: str) -> None:
        self.choices = dict(choices)
        if len(self.choices) < 2:
            raise InvalidValueError(f"predict: '{question}' needs at least two choices.")
        super().__init__(question, self.checked(default))

    def checked(self, answer: Any) -> str:
        if answer not in self.choices:
            raise unknown("answer to this question", str(answer), self.choices)
        return str(answer)

    def texts(self) -> list[str]:
        return [f"Predict: {self.question}", *(f"○ {text}" for text in self.choices.values())]

    def control(self, widgets: Any) -> Any:
        options = [list(choice) for choice in self.choices.items()]
        asked = widgets.Choice(question=self.question, options=options, answer=self.answer)
        asked.observe(lambda change: self.say(change["new"]), "answer")
        return asked

    def compare(self, outcome: str, because: str = "") -> None:
        """Show what was predicted beside what happened. outcome: the key of what happened, made from the data.

        because: the explanation, a sentence. Raises `UnknownNameError` for an outcome that is no choice.
        """
        happened = self.choices[self.checked(outcome)].rstrip(".")

        def sentences() -> list[str]:
            predicted = self.choices[self.value].rstrip(".")
            if self.answer is None:
                said = f"No prediction was made. What happened: “{happened}”."
            elif self.value == outcome:
                said = f"You predicted “{predicted}”, and so it is."
            else:
                said = f"You predicted “{predicted}”. What happened: “{happened}”."
            return [said, *([sentence(because)] if because else [])]

        self.reveal(sentences)


class Estimate(Asked):
    """A number. unit: written behind it."""

    def __init__(self, question: str, default: float, unit: str) -> None:
        self.unit = f" {unit}" if unit else ""
        super().__init__(question, self.checked(default))

    def checked(self, answer: Any) -> float:
        try:
            value = float(answer)
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            raise InvalidValueError(f"'{answer}' is no answer to “{self.question}”: it must be a number, such as 0.5.")
        return value

    def texts(self) -> list[str]:
        return [f"Predict: {self.question} (A number{f', in {self.unit.strip()}' if self.unit else ''}.)"]

    def control(self, widgets: Any) -> Any:
        given = "" if self.answer is None else f"{self.answer:g}"
        asked = widgets.Number(question=self.question, unit=self.unit.strip(), text=given)

        def answered(change: Any) -> None:
            try:
                self.say(change["new"])
                asked.fault = ""
            except InvalidValueError as error:
                asked.fault = str(error)

        asked.observe(answered, "text")
        return asked

    def compare(self, measured: float, because: str = "", *, factor: float = 1.25, digits: int = 2) -> None:
        """Show the estimate beside what was measured.

        measured: a positive number. factor: how far off, either way, still counts as right. digits: of what is said,
        as many as hold on other machines.
        """

        def sentences() -> list[str]:
            found = f"{number(measured, digits)}{self.unit}"
            if self.answer is None:
                said = f"No estimate was made. Measured: {found}."
            else:
                mine = f"{number(self.value, digits)}{self.unit}"
                said = f"You estimated {mine}; measured: {found}. {_verdict(self.value, measured, factor)}"
            return [said, *([sentence(because)] if because else [])]

        self.reveal(sentences)


def _verdict(value: float, measured: float, factor: float) -> str:
    if value <= 0 or measured <= 0:
        return "That is right." if value == measured else "That is not it."
    ratio = value / measured
    if 1 / factor <= ratio <= factor:
        return "That is right, to within what counts here."
    return f"Your number is {number(max(ratio, 1 / ratio), 2)} times too {'large' if ratio > 1 else 'small'}."


def predict(question: str, choices: Mapping[str, str], default: str) -> Prediction:
    """Ask for one of several answers; shown where it is the last line of a cell.

    choices: key -> text. default: the key that stands until somebody answers. Raises `UnknownNameError` for a default
    that is no choice, `InvalidValueError` for fewer than two.
    """
    return Prediction(question, choices, default)


def estimate(question: str, default: float, unit: str = "") -> Estimate:
    """Ask for a number; shown where it is the last line of a cell.

    default: what stands until somebody answers. Raises `InvalidValueError` for a default that is no finite number.
    """
    return Estimate(question, default, unit)
