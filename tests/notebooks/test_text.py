"""The notebooks as texts: recorded, in step with their scripts, and written so that everybody can follow."""

from __future__ import annotations

import ast
import itertools
import json
import re
from html import escape
from pathlib import Path
from typing import Any

import jupytext
import pytest

from kit.guide.recording import RECORDED, digest, script_of
from kit.guide.shipped import APPLICATION, HUB

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
LESSONS = [path for path in NOTEBOOKS if path.name not in (HUB, APPLICATION)]
# Written in capitals without being an acronym, or explained by every dictionary.
WORDS = {"OK", "NOT", "AND", "OR", "KIT"}


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def sources(notebook: dict[str, Any], kind: str) -> list[str]:
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def prose(notebook: dict[str, Any]) -> str:
    """The text without code, mathematics and addresses."""
    text = "\n\n".join(sources(notebook, "markdown"))
    text = re.sub(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$", " ", text, flags=re.DOTALL)
    return re.sub(r"\]\([^)]*\)|https?://\S+", "]", text)


def shows_something(source: str) -> bool:
    """Whether a cell's last statement is an expression, which a notebook shows, and no call that may be silent."""
    tree = compile(source, "cell", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return bool(tree.body) and isinstance(tree.body[-1], ast.Expr) and not source.rstrip().endswith(";")


def unexplained(text: str) -> set[str]:
    """Acronyms that are nowhere spelt out: `stochastic gradient descent (SGD)` or `SGD (stochastic …)`."""
    found = set(re.findall(r"(?<![\w-])[A-Z]{2,}[A-Z0-9]*(?![\w-])", text)) - WORDS
    return {word for word in found if not re.search(rf"\(\*?{word}\*?[,)]|\b{word}\*?\*? \(", text)}


def headings(text: str) -> list[int]:
    return [len(marks) for marks in re.findall(r"^(#{1,6}) \S", text, flags=re.MULTILINE)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestEveryNotebook:
    def test_its_outputs_are_recorded_and_belong_to_its_code(self, path: Path) -> None:
        notebook = read(path)
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        assert code
        assert digest("".join(cell["source"]) for cell in code) == notebook["metadata"].get(RECORDED), "kit record it"
        for cell in code:
            assert cell["execution_count"] is not None, "kit record it"
            if shows_something("".join(cell["source"])):
                assert cell["outputs"], f"this cell has no recorded output:\n{''.join(cell['source'])}"
        assert not [o for cell in code for o in cell["outputs"] if o["output_type"] == "error"]
        assert not [o for cell in code for o in cell["outputs"] if o.get("name") == "stderr"]

    def test_it_agrees_with_its_script(self, path: Path) -> None:
        notebook, script = read(path), jupytext.read(script_of(path))
        ours = [
            (cell["cell_type"], "".join(cell["source"]), cell["metadata"].get("tags", [])) for cell in notebook["cells"]
        ]
        theirs = [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in script.cells]
        assert ours == theirs, "kit record it"

    def test_one_title_and_no_skipped_level(self, path: Path) -> None:
        levels = headings("\n\n".join(sources(read(path), "markdown")))
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))

    def test_links_say_where_they_lead(self, path: Path) -> None:
        text = "\n".join(sources(read(path), "markdown"))
        for said, target in re.findall(r"(?<!!)\[([^\]]*)\]\(([^)]*)\)", text):
            assert len(said.split()) > 1 or len(said) > 8, f"[{said}]({target})"
            assert said.lower().strip(" .") not in {"here", "this link", "click here", "this page"}, said
            if target.endswith(".ipynb"):
                assert (path.parent / target).is_file(), target
        assert not re.findall(r"(?<![(<\"])https?://\S+(?![)>])", re.sub(r"\]\([^)]*\)", "", text)), "a bare address"

    def test_pictures_in_the_text_have_a_description(self, path: Path) -> None:
        assert not re.findall(r"!\[\s*\]\(", "\n".join(sources(read(path), "markdown")))

    def test_acronyms_are_explained(self, path: Path) -> None:
        assert unexplained(prose(read(path))) == set()

    def test_every_figure_is_said_in_words(self, path: Path) -> None:
        for cell in read(path)["cells"]:
            outputs = cell.get("outputs", [])
            for number, output in enumerate(outputs):
                if "image/png" not in output.get("data", {}):
                    continue
                words = "".join(output["data"]["text/plain"])
                after = (
                    "".join(outputs[number + 1].get("data", {}).get("text/plain", ""))
                    if number + 1 < len(outputs)
                    else ""
                )
                assert len(words) > 40, words
                below = "".join(output["data"].get("text/html", ""))  # a widget's own page, which says it too
                assert after == f"In words: {words}" or escape(words) in below

    def test_no_widget_is_left_without_its_kernel(self, path: Path) -> None:
        assert "widget" not in json.dumps([cell.get("outputs") for cell in read(path)["cells"]])


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
class TestEveryLesson:
    def test_it_says_first_what_one_can_decide_afterwards(self, path: Path) -> None:
        first = sources(read(path), "markdown")[0]
        assert "you can decide" in first
        assert re.search(r"\b\d+ minutes", first)

    def test_predict_run_compare_explain(self, path: Path) -> None:
        notebook = read(path)
        code, text = "\n".join(sources(notebook, "code")), "\n".join(sources(notebook, "markdown"))
        assert "guide.predict(" in code or "guide.estimate(" in code
        assert code.count(".compare(") >= code.count("guide.predict(") + code.count("guide.estimate(")
        assert "guide.run(" in code or ".run(" in code
        assert "guide.check(" in code
        assert "Explain" in text
        assert "<details><summary>Hint" in text
        assert "<details><summary>Solution" in text
        assert text.count("<details>") == text.count("</details>")

    def test_it_ends_with_the_readers_own_data(self, path: Path) -> None:
        titles = re.findall(r"^## (.*)$", "\n\n".join(sources(read(path), "markdown")), flags=re.MULTILINE)
        assert titles[-1] == "On your own data"

    def test_its_framework_is_chosen_at_the_top(self, path: Path) -> None:
        code = sources(read(path), "code")
        assert "guide.framework" in code[0]
        assert not re.search(r"backend=[\"']", "\n".join(code))


def test_the_hub_links_every_lesson() -> None:
    text = "\n".join(sources(read(NOTEBOOKS[0].parent / HUB), "markdown"))
    assert set(re.findall(r"\(([^)]*\.ipynb)\)", text)) == {path.name for path in NOTEBOOKS} - {HUB}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("gradient descent (GD) is GD", set()),
        ("GD (gradient descent)", set()),
        ("we use SGD", {"SGD"}),
        ("AdamW, PyTorch, RMSprop and O are names", set()),
    ],
)
def test_the_search_for_acronyms(text: str, left: set[str]) -> None:
    assert unexplained(text) == left


@pytest.mark.parametrize(
    ("source", "shows"),
    [("x = 1", False), ("guide.say('a')", True), ("x = await f()", False), ("await f()", True), ("import kit", False)],
)
def test_which_cells_must_show_something(source: str, shows: bool) -> None:
    assert shows_something(source) == shows
