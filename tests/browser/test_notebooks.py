"""Every notebook in a real JupyterLab, as a student works through it: run all, press Stop, run all again, answer by the
keyboard, open hints and solutions, use the lab, reload the page.

A few of them are part of `make test`; all are run by `make slow`. With KIT_SCREENSHOTS=DIR each leaves a picture of the
whole page there, light and dark, to be looked at.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.jupyter import Notebook, Server

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
IN_EVERY_RUN = {"start", "lab-app", "00_start_here", "07_choosing_an_optimizer"}
WITHOUT_TRAINING = {"start", "lab-app"}  # no cell of theirs trains
LESSON_SECONDS = 240
TALL = 60_000  # pixels: a page in which no notebook has to be scrolled

# The notebook's own model, which knows cells that are not on the screen.
NOTEBOOK = "window.jupyterapp.shell.currentWidget.content"
CELLS = f"[...{NOTEBOOK}.model.cells].filter(cell => cell.type === 'code' && cell.sharedModel.source.trim())"
ALL_RAN = f"() => {CELLS}.every(cell => cell.executionCount !== null && cell.executionState !== 'running')"
RESTS = f"() => {CELLS}.every(cell => cell.executionState !== 'running')"
OUTPUTS = f"() => {CELLS}.flatMap(cell => cell.outputs.toJSON())"
CHOSEN = "() => [...document.querySelectorAll('.kit-ask input:checked')].map(input => input.value)"


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A JupyterLab on a copy of the notebooks, as `kit start` makes it."""
    folder = tmp_path_factory.mktemp("lessons")
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"windowingMode": "none"}')  # cells that are not on the screen are there too
    running = Server(folder, KIT_GUIDE_FRAMEWORK="torch", KIT_STORE=str(folder / "runs"))
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


def outputs(book: Notebook) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = book.page.evaluate(OUTPUTS)
    return found


def texts(book: Notebook) -> str:
    """All that its cells say in plain text, errors included."""
    return "\n".join(
        "".join(output.get("traceback") or output.get("data", {}).get("text/plain") or "") for output in outputs(book)
    )


def run_all(book: Notebook) -> None:
    book.command("notebook:clear-all-cell-outputs")
    book.run_all()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(path.name, id=path.stem, marks=[] if path.stem in IN_EVERY_RUN else [pytest.mark.slow])
        for path in NOTEBOOKS
    ],
)
def test_a_notebook_is_worked_through(page_of: Any, name: str) -> None:
    book = page_of(name)
    if name.removesuffix(".ipynb") not in WITHOUT_TRAINING:
        run_all(book)
        stop_a_run(book)
    run_all(book)
    book.page.wait_for_function(ALL_RAN, timeout=LESSON_SECONDS * 1000)
    assert [output for output in outputs(book) if output["output_type"] == "error"] == []
    answer_by_keyboard(book)
    open_what_is_one_click_away(book)
    train_in_the_lab(book)
    picture(book, name)
    chosen = book.page.evaluate(CHOSEN)
    book.save()
    book.page.reload()
    book.page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=60_000)
    book.await_kernel()
    if chosen:
        book.page.locator(".kit-ask input:checked").nth(len(chosen) - 1).wait_for()
    assert book.page.evaluate(CHOSEN) == chosen


def was_stopped(book: Notebook) -> bool:
    return re.search(r"\d stopped|Stopped before", texts(book)) is not None


def stop_a_run(book: Notebook) -> None:
    """Press Stop as soon as there is something to stop; if it was over before, the next. The notebook then comes to
    rest at a sentence that says what to do."""
    from playwright.sync_api import Error

    deadline = time.monotonic() + LESSON_SECONDS
    stop = book.page.locator(".kit-under-way:visible button:enabled")
    while not (was_stopped(book) and book.page.evaluate(RESTS)):
        assert time.monotonic() < deadline, texts(book)
        if not was_stopped(book):
            with contextlib.suppress(Error):  # there was none, or it was gone
                stop.first.click(timeout=500)
        book.page.wait_for_timeout(100)
    [halted] = [output for output in outputs(book) if output["output_type"] == "error"]
    assert halted["ename"] == "Unfinished"
    assert "Run this cell again" in halted["evalue"]


def answer_by_keyboard(book: Notebook) -> None:
    """The second answer to each question, and a number for each estimate; the sentences below follow."""
    page = book.page
    questions = page.locator("fieldset.kit-ask").filter(has=page.locator(".kit-answers:not(.kit-inline)"))
    for question in questions.all():
        answers = question.get_by_role("radio")
        answers.first.focus()
        page.keyboard.press("Space")
        assert answers.first.is_checked()
        page.keyboard.press("ArrowDown")
        assert answers.nth(1).is_checked()
    numbers = page.locator(".kit-ask input[type=text]")
    for number in numbers.all():
        number.fill("7")
        number.press("Enter")
    page.wait_for_timeout(500)
    said = page.locator("[role=status] p").all_inner_texts()
    assert sum(text.startswith("You predicted") for text in said) == questions.count()
    assert sum(text.startswith("You estimated 7") for text in said) == numbers.count()


def open_what_is_one_click_away(book: Notebook) -> None:
    """Hints and solutions, with their formulas set."""
    for hidden in book.page.locator(".jp-MarkdownCell details").all():
        hidden.locator("summary").click()
        assert hidden.get_attribute("open") is not None
        assert "$" not in hidden.inner_text()


def train_in_the_lab(book: Notebook) -> None:
    """With a budget that it cannot spend while somebody looks for the button."""
    for lab in book.page.locator(".kit-lab").all():
        budget = lab.get_by_label("Budget", exact=True)
        budget.fill("100000")
        budget.press("Enter")
        lab.get_by_role("button", name=re.compile("^Run( again)?$")).click()
        lab.locator(".kit-said", has_text="Training").wait_for(timeout=60_000)
        lab.get_by_role("button", name="Stop", exact=True).click()
        lab.locator(".kit-said", has_text="Stopped").wait_for()


def picture(book: Notebook, name: str) -> None:
    """Of the whole notebook, light and dark, where somebody wants to look at it."""
    folder = os.environ.get("KIT_SCREENSHOTS")
    if not folder:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    page, size = book.page, book.page.viewport_size
    height = page.evaluate("() => document.querySelector('.jp-WindowedPanel-inner').scrollHeight + 150")
    for theme in ("Light", "Dark"):
        book.page.evaluate(
            "async theme => { await window.jupyterapp.commands.execute('apputils:change-theme', {theme}); }",
            f"JupyterLab {theme}",
        )
        page.set_viewport_size({**size, "height": min(TALL, height)})
        page.wait_for_timeout(1000)
        page.evaluate("() => { document.querySelector('.jp-WindowedPanel-outer').scrollTop = 0; }")
        page.wait_for_timeout(1000)
        page.screenshot(path=Path(folder) / f"{name.removesuffix('.ipynb')}-{theme.lower()}.png")
    page.set_viewport_size(size)


LONG = """import kit
from kit import guide
experiment = kit.Experiment(
    dataset="iris", model="linear", optimizer="minibatch", backend="numpy", budget=kit.Budget(seconds=8)
)
run = await guide.run(experiment)
guide.say("The rest of the cell.")"""


def test_a_page_that_is_reloaded_in_the_middle_of_training_says_how_it_ended(notebook: Any) -> None:
    book = notebook([LONG, "guide.say(run.reason)"])
    book.run_all()
    page = book.page
    page.get_by_role("button", name="Stop").wait_for(timeout=60_000)
    page.locator(".kit-under-way", has_text="lowest loss").wait_for(timeout=60_000)
    book.save()
    page.reload()
    page.locator(".kit-under-way", has_text="lowest loss").wait_for(timeout=60_000)
    began = time.monotonic()
    page.get_by_role("button", name="Stop").click()
    ended = page.locator(".kit-ask [role=status]", has_text="1 run: 1 stopped.")
    ended.wait_for(timeout=30_000)
    assert time.monotonic() - began < 3  # a second for the worker, and what a busy machine adds
    assert "Run this cell and those below it" in ended.inner_text()
    book.run_all()  # as it says: the run continues
    page.locator(".kit-under-way", has_text="lowest loss").wait_for(timeout=60_000)
    page.get_by_role("button", name="Stop").click()
    halted = page.locator(".jp-OutputArea-output", has_text="✗ 1 run: 1 stopped. Run this cell again, and what was")
    halted.wait_for()
    assert "The rest of the cell." not in book.output(0)
    book.run_all()
    page.locator(".jp-OutputArea-output", has_text="The budget was spent.").wait_for(timeout=60_000)
    assert "1 run: 1 done." in book.output(0)
    assert "The rest of the cell." in book.output(0)
    assert "This page was opened" not in book.output(0)
