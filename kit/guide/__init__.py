"""What the guided notebooks are written with: a notebook is prose and a few lines, the rest stands here.

    from kit import guide

    framework = guide.framework()                  # the choice at the top; `framework.name` wherever a backend is asked

    guess = guide.predict(                         # radio buttons; headless, the default answer stands
        "What happens at twice the stable rate?",
        {"slow": "It converges, but slowly.", "leaves": "The loss grows without bound."},
        default="slow",
    )
    rate = guide.estimate("From which learning rate on does it diverge?", default=0.5)     # a number

    results = await guide.run(experiment.vary(learning_rate=[0.1, 1.0]))    # bar and Stop; the kernel stays free
    start = await guide.probe(experiment, "curvature")      # {"largest_curvature": …, …} where it starts
    guide.show(results.plot_curves())              # the figure, and below it the figure in words
    guide.say(results.sentences()[0])              # a sentence (or several) made from the data
    guess.compare("leaves" if … else "slow", "because …")     # your prediction beside what happened
    rate.compare(measured, factor=2)

    guide.check("The run ended", run.status == "done", "Run the cell above again, and let it finish.")
    guide.answer("centimetres", ...)               # an exercise whose answer is out of sight: `kit.guide.exercises`
    guide.exercise(..., lambda answer: answer == 64, "Divide the samples by the steps.")    # one of your own
    guide.formula("momentum")                      # the rule that the kit runs, beside its mathematics
    guide.lines({"measured": (x, y)}, x="step", y="loss", title="…")        # a figure of your own numbers
    guide.plugin("kit-mine", "import kit …")       # a plugin of one file, installed for this session

- Cells that train say `await guide.run(…)` on an `Experiment` (gives a `Run`) or a `Study` (gives `Results`). Stop ends
  the cell with a sentence, and the notebook with it; running the cell again goes on.
- Everything is a sentence first: each output has a plain text and an HTML form that are made from the data and say
  the same, so that a saved notebook reads without a kernel and `pytest --nbval` compares words, not pictures. Numbers
  are said with the digits that hold in every framework and on other machines (`kit.results.words.number`, two or
  three of them), or as verdicts.
- Hints and solutions are not code. They stand in a Markdown cell, one click away, and open without a kernel:

      <details><summary>Hint</summary>

      Text with $mathematics$, an empty line before and after.

      </details>

- A cell whose output depends on speed, hardware or the framework carries the tag `nbval-ignore-output`; on its last
  section, "On your own data", a notebook runs on data that is shipped until its reader names another.
- `KIT_GUIDE_FRAMEWORK` (a backend's name) answers the choice at the top for a headless run.

Nothing here loads a framework; anywidget is used where it is installed and a kernel runs, matplotlib when a figure is
drawn.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "answer": "kit.guide.checks",
    "check": "kit.guide.checks",
    "exercise": "kit.guide.checks",
    "estimate": "kit.guide.prediction",
    "predict": "kit.guide.prediction",
    "formula": "kit.guide.formulas",
    "framework": "kit.guide.framework_choice",
    "frameworks": "kit.guide.framework_choice",
    "lines": "kit.guide.figures",
    "plugin": "kit.guide.plugins",
    "probe": "kit.guide.running",
    "run": "kit.guide.running",
    "say": "kit.guide.saying",
    "show": "kit.guide.saying",
    "table": "kit.guide.saying",
}
__all__ = [
    "answer",
    "check",
    "estimate",
    "exercise",
    "formula",
    "framework",
    "frameworks",
    "lines",
    "plugin",
    "predict",
    "probe",
    "run",
    "say",
    "show",
    "table",
]

if TYPE_CHECKING:
    from kit.guide.checks import answer, check, exercise
    from kit.guide.figures import lines
    from kit.guide.formulas import formula
    from kit.guide.framework_choice import framework, frameworks
    from kit.guide.plugins import plugin
    from kit.guide.prediction import estimate, predict
    from kit.guide.running import probe, run
    from kit.guide.saying import say, show, table


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kit.guide' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
