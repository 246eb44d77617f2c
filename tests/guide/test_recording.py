"""`kit record`: what is stored, what is left out, and what stays as it was when a cell fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from kit.errors import InvalidValueError, WorkError
from kit.guide.recording import RECORDED, digest, record, take_text


def write(path: Path, *cells: str, tags: tuple[str, ...] = ()) -> Path:
    made = [nbformat.v4.new_code_cell(source) for source in cells]
    made[0].metadata = {"tags": list(tags), "execution": {"iopub.status.busy": "now"}}
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    return path


def outputs(path: Path) -> list[list[dict[str, Any]]]:
    return [cell["outputs"] for cell in json.loads(path.read_text())["cells"]]


def test_what_is_recorded_is_what_another_machine_shows_too(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.ipynb",
        "import os\nos.environ['KIT_GUIDE_FRAMEWORK']",
        "from kit import guide\nguide.predict('What?', {'a': 'This.', 'b': 'That.'}, default='a')",
        "assert os.environ['KIT_STORE'] and not os.path.exists(os.environ['KIT_STORE'])",
        "guide.show(guide.lines({'a': ([1, 2], [3, 4])}, x='step', y='loss', title='It rises'))",
        tags=("nbval-ignore-output",),
    )
    assert record(path, framework="tensorflow") == 3
    chosen, asked, silent, drawn = outputs(path)
    assert "".join(chosen[0]["data"]["text/plain"]) == "'tensorflow'"
    assert set(asked[0]["data"]) == {"text/plain", "text/html"}  # the widget is dead without its kernel
    assert "".join(asked[0]["data"]["text/plain"]) == "Predict: What?\n○ This.\n○ That."
    assert silent == []
    words = "Loss against step: It rises. a: from 3.0 at 1 to 4.0 at 2."
    assert drawn[0]["data"]["image/png"]
    assert "".join(drawn[0]["data"]["text/plain"]) == words
    assert "".join(drawn[1]["data"]["text/plain"]) == f"In words: {words}"
    notebook = json.loads(path.read_text())
    code = ["".join(cell["source"]) for cell in notebook["cells"]]
    assert notebook["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        RECORDED: digest(code),
    }
    assert [cell["metadata"] for cell in notebook["cells"]] == [{"tags": ["nbval-ignore-output"]}, {}, {}, {}]
    assert [path.name for path in tmp_path.iterdir()] == ["a.ipynb"]
    before = path.read_bytes()
    record(path, framework="tensorflow")
    assert path.read_bytes() == before  # the same bytes again


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "from kit import guide\nguide.check('one is two', 1 == 2, 'do this')",
            "CheckFailed: This does not hold: One is two",
        ),
        ("import time; time.sleep(60)", "took more than 3 s"),
        ("import os; os._exit(1)", "kernel died"),
    ],
)
def test_a_cell_that_fails_leaves_the_notebook_as_it_was(tmp_path: Path, source: str, said: str) -> None:
    path = write(tmp_path / "a.ipynb", "1 + 1", source)
    before = path.read_bytes()
    with pytest.raises(WorkError, match=rf"a\.ipynb: .*{said}"):
        record(path, seconds=3 if "sleep" in source else 60)
    assert path.read_bytes() == before


def test_what_is_no_notebook_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="There is no notebook"):
        record(tmp_path / "none.ipynb")
    (tmp_path / "broken.ipynb").write_text("{")
    with pytest.raises(InvalidValueError, match="is no notebook that can be read"):
        record(tmp_path / "broken.ipynb")


def test_the_cells_come_from_the_script_and_the_command_says_what_it_did(tmp_path: Path) -> None:
    for folder in ("notebooks", "lessons"):
        (tmp_path / folder).mkdir()
    (tmp_path / "lessons" / "a.py").write_text("# %% [markdown]\n# # Title\n\n# %%\n6 * 7\n")
    command = [sys.executable, "-m", "kit", "record", "notebooks/a.ipynb", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["recorded"][0]["outputs"] == 1
    notebook = json.loads((tmp_path / "notebooks" / "a.ipynb").read_text())
    assert ["".join(cell["source"]) for cell in notebook["cells"]] == ["# Title", "6 * 7"]
    assert "".join(notebook["cells"][1]["outputs"][0]["data"]["text/plain"]) == "42"
    script, path = tmp_path / "lessons" / "a.py", tmp_path / "notebooks" / "a.ipynb"
    script.write_text("# %% [markdown]\n# # Another title\n\n# %%\n6 * 7\n\n# %% [markdown]\n# More.\n")
    take_text(path)
    changed = json.loads(path.read_text())
    assert ["".join(cell["source"]) for cell in changed["cells"]] == ["# Another title", "6 * 7", "More."]
    assert changed["cells"][1] == notebook["cells"][1]
    script.write_text(script.read_text().replace("6 * 7", "6 * 8"))
    with pytest.raises(InvalidValueError, match="code has changed too"):
        take_text(path)
