"""`kit start`: a copy of the notebooks that never writes over edits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from kit.errors import InvalidValueError, MissingPackageError, StoreError
from kit.guide import shipped


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("start.ipynb", "01_first.ipynb", "02_second.ipynb"):
        (folder / name).write_text(f"{name}, first edition")
    (folder / "README.md").write_text("not copied")
    monkeypatch.setattr(shipped, "source", lambda: folder)
    return folder


def outcomes(folder: Path) -> dict[str, str]:
    return {each.name: each.outcome for each in shipped.copy(folder)}


def test_edits_are_kept_and_the_rest_is_updated(source: Path, tmp_path: Path) -> None:
    mine = tmp_path / "deep" / "mine"
    assert set(outcomes(mine).values()) == {"copied"}
    assert {path.name for path in mine.iterdir()} == {
        "start.ipynb", "01_first.ipynb", "02_second.ipynb", shipped.MANIFEST,
    }  # fmt: skip
    assert set(outcomes(mine).values()) == {"unchanged"}
    (mine / "01_first.ipynb").write_text("my own thoughts")
    for name in ("01_first.ipynb", "02_second.ipynb"):
        (source / name).write_text(f"{name}, second edition")
    for _ in range(2):
        found = outcomes(mine)
        assert found["01_first.ipynb"] == "kept"
        assert (mine / "01_first.ipynb").read_text() == "my own thoughts"
        assert (mine / "02_second.ipynb").read_text() == "02_second.ipynb, second edition"
    assert found["02_second.ipynb"] == "unchanged"
    (mine / "01_first.ipynb").rename(mine / "01_mine.ipynb")
    assert outcomes(mine)["01_first.ipynb"] == "copied"
    assert (mine / "01_mine.ipynb").read_text() == "my own thoughts"


def test_a_copy_does_not_answer_its_own_questions(tmp_path: Path) -> None:
    shipped.copy(tmp_path / "mine")
    for path in sorted((tmp_path / "mine").glob("*.ipynb")):
        ours, theirs = (json.loads(file.read_text()) for file in (path, shipped.source() / path.name))
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in ours["cells"])
        assert [cell["source"] for cell in ours["cells"]] == [cell["source"] for cell in theirs["cells"]]


@pytest.mark.parametrize("manifest", [None, "{", "[]"])
def test_without_a_record_of_the_copy_all_that_differs_counts_as_edited(
    source: Path, tmp_path: Path, manifest: str | None
) -> None:
    mine = tmp_path / "mine"
    outcomes(mine)
    (source / "01_first.ipynb").write_text("second edition")
    (mine / shipped.MANIFEST).unlink() if manifest is None else (mine / shipped.MANIFEST).write_text(manifest)
    assert outcomes(mine)["01_first.ipynb"] == "kept"
    assert outcomes(mine)["start.ipynb"] == "unchanged"


def test_a_place_that_cannot_be_written_is_said(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidValueError, match="is a file; give a folder"):
        shipped.copy(tmp_path / "file")
    with pytest.raises(StoreError, match="cannot be written"):
        shipped.copy(tmp_path / "file" / "below")
    with pytest.raises(InvalidValueError, match="give another folder"):
        shipped.copy(source)


def test_the_command_copies_and_says_what_it_kept(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kit", "start", "mine", "--no-open"]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "mine: " in first.stdout
    hub = tmp_path / "mine" / "start.ipynb"
    hub.write_text("{}")
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "start.ipynb is kept as you edited it" in again.stdout
    assert hub.read_text() == "{}"
    asked = subprocess.run([*command, "--json"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(asked.stdout)["notebooks"]["start.ipynb"] == "kept"


def test_jupyterlab_is_opened_at_the_hub_with_the_options_given(
    tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for JupyterLab that writes down how it was called, and ends with a code of its own."""
    stand_in = """
        import json, os, sys
        json.dump([sys.argv, os.environ["JUPYTER_CONFIG_PATH"]], open("called", "w"))
        sys.exit(3)
    """
    (site / "jupyterlab.py").write_text(textwrap.dedent(stand_in))
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "mine")
    for folder, given in (("mine", ["mine"]), ("kit-notebooks", [])):
        command = [sys.executable, "-m", "kit", "start", *given, "--", "--port=9000", "--no-browser"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ)
        assert done.returncode == 3
        called, settings = json.loads((tmp_path / "called").read_text())
        ours, theirs = settings.split(os.pathsep)
        assert theirs == "mine"
        assert "announcements" in (Path(ours) / "labconfig" / "page_config.json").read_text()
        assert f"--notebook-dir={folder}" in called
        assert "--LabApp.default_url=/lab/tree/start.ipynb" in called
        assert called[-2:] == ["--port=9000", "--no-browser"]


@pytest.mark.parametrize(("asked", "folder"), [(["mine"], "mine"), ([], "kit-notebooks")])
def test_the_lab_is_opened_in_voila_on_its_notebook_alone(
    tmp_path: Path, site: Path, asked: list[str], folder: str
) -> None:
    """A stand-in for Voilà that writes down how it was called."""
    (site / "voila").mkdir()
    (site / "voila" / "__init__.py").write_text("")
    stand_in = """
        import json, os
        class Voila:
            @staticmethod
            def launch_instance(argv, config):
                called = [argv, os.environ["JUPYTER_PATH"], config.VoilaConfiguration.template]
                json.dump(called, open("called", "w"))
    """
    (site / "voila" / "app.py").write_text(textwrap.dedent(stand_in))
    command = [sys.executable, "-m", "kit", "lab", *asked, "--", "--port=9000"]
    subprocess.run(command, cwd=tmp_path, env=os.environ, check=True)
    arguments, path, template = json.loads((tmp_path / "called").read_text())
    assert arguments == [f"{folder}/lab-app.ipynb", "--port=9000"]
    assert {each.name for each in (tmp_path / folder).iterdir()} == {"lab-app.ipynb", shipped.MANIFEST}
    assert (Path(path.split(os.pathsep)[0]) / "voila" / "templates" / template / "index.html.j2").is_file()


def test_without_voila_the_command_that_installs_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kit.laboratory import application

    monkeypatch.setattr(application, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"needs Voilà: .*pip install voila"):
        application.serve(tmp_path / "lab-app.ipynb")
