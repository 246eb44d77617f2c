"""The guided notebooks in a real JupyterLab: run all, use the widgets, stop a run, reload the page.

Not green yet, so no session runs it: the radio buttons of a prediction do not move with ArrowDown within JupyterLab,
and a cell that was stopped after a reload stands empty. By hand: `pytest --framework=browser -m slow tests/browser`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.jupyter import Notebook, Server

pytestmark = pytest.mark.slow
NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
IN_EVERY_RUN = "02_stochastic_gradient_descent"
LESSON_SECONDS = 180

# The notebook's own model, which knows cells that are not on the screen.
CELLS = "[...window.jupyterapp.shell.currentWidget.content.model.cells].filter(cell => cell.type === 'code')"
ALL_RUN = f"""() => {CELLS}.every(cell => cell.executionCount !== null)
    && window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"""
OUTPUTS = f"() => {CELLS}.map(cell => cell.outputs.toJSON())"
SHOW_ALL = """() => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    notebook.notebookConfig = {...notebook.notebookConfig, windowingMode: 'none'};
}"""


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A JupyterLab on a copy of the notebooks, as `kit start` makes it."""
    running = Server(tmp_path_factory.mktemp("lessons"), KIT_GUIDE_FRAMEWORK="torch")
    for path in NOTEBOOKS:
        shutil.copy2(path, running.root)
    yield running
    running.close()


@pytest.fixture
def page_of(lessons: Server, context: Any) -> Iterator[Any]:
    """`page_of("start.ipynb")`: opened; in the end no error in its console and no request to another host."""
    opened: list[Notebook] = []

    def open_one(name: str) -> Notebook:
        opened.append(Notebook(lessons, context, name))
        return opened[-1]

    yield open_one
    lessons.end_kernels()
    assert [complaint for book in opened for complaint in book.complaints] == []


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(path.name, id=path.stem, marks=[pytest.mark.slow] if path.stem != IN_EVERY_RUN else [])
        for path in NOTEBOOKS
    ],
)
def test_a_notebook_runs_whole_and_its_questions_are_answered_by_keyboard(page_of: Any, name: str) -> None:
    book = page_of(name)
    book.page.evaluate(SHOW_ALL)
    book.command("notebook:clear-all-cell-outputs")
    book.run_all()
    book.page.wait_for_function(ALL_RUN, timeout=LESSON_SECONDS * 1000)
    outputs = [output for cell in book.page.evaluate(OUTPUTS) for output in cell]
    assert [output for output in outputs if output["output_type"] == "error"] == []
    for question in book.page.locator(".widget-radio").all():
        question.scroll_into_view_if_needed()
        question.locator("input").first.focus()
        book.page.keyboard.press("Space")
        book.page.keyboard.press("ArrowDown")
        assert question.locator("input").nth(1).is_checked()
    answers = book.page.locator("[role=status] p").all_inner_texts()
    assert sum(text.startswith("You predicted") for text in answers) == book.page.locator(".widget-radio").count()


LONG = """import kit
from kit import guide
endless = kit.Experiment(
    dataset="iris", model="linear", optimizer="minibatch", backend="numpy", budget=kit.Budget(seconds=120)
)
run = await guide.run(endless)"""


def test_a_run_is_stopped_after_the_page_was_reloaded(notebook: Any) -> None:
    book = notebook([LONG, "guide.say(run.reason)"])
    book.run_all()
    stop = book.page.get_by_role("button", name="Stop")
    stop.wait_for(timeout=60_000)
    book.page.wait_for_function("() => document.body.innerText.includes('lowest loss')", timeout=60_000)
    book.save()
    book.page.reload()
    stop = book.page.get_by_role("button", name="Stop")
    stop.wait_for(timeout=60_000)
    began = time.monotonic()
    stop.click()
    book.page.get_by_text("Stopped on request; everything so far is kept.").wait_for(timeout=30_000)
    assert time.monotonic() - began < 3  # a second for the worker, and what a busy machine adds
    assert "1 run: 1 stopped." in book.output(0)
