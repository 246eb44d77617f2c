"""Reference outputs: a notebook is run from top to bottom in a fresh kernel, and what it shows is stored in it.

`pytest --nbval` compares a later run with them. Only what is the same on every machine is kept of an output's
surroundings: no times of execution, no versions, and no widgets, which are dead without their kernel and in whose place
the words stand. A notebook that is edited as a script (`lessons/NAME.py` beside `notebooks/NAME.ipynb`, jupytext's
percent format) takes its cells from there.

nbformat, nbclient and jupytext are imported when a notebook is recorded: together they take seconds.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kit.errors import InvalidValueError, MissingPackageError, WorkError
from kit.guide.framework_choice import ANSWER
from kit.guide.saying import WIDGET

CELL_SECONDS = 120.0  # a cell that takes longer hangs
SCRIPTS = "lessons"  # beside the notebooks' folder
RECORDED = "kit_recorded"  # in a notebook's metadata: the digest of the code whose outputs it holds
KEPT = ("title", "voila")  # of a notebook's metadata: what Voilà reads
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def record(path: Path, framework: str | None = None, seconds: float = CELL_SECONDS) -> int:
    """Run a notebook and store its outputs in it; returns how many of its cells show something.

    framework: the answer to the choice at its top. seconds: of one cell, at most. Raises `InvalidValueError` for what
    is no notebook, `MissingPackageError` without nbclient, `WorkError` where a cell fails; the file is then as it was.
    """
    notebook = cells_of(path)
    execute(notebook, path, framework, seconds)
    tidy(notebook)
    write(notebook, path)
    return sum(bool(cell.get("outputs")) for cell in notebook.cells)


def take_text(path: Path) -> None:
    """Take the prose of a notebook's script, and keep the outputs: for a change that touches no code.

    Raises `InvalidValueError` where there is no script, or where code has changed too.
    """
    if not script_of(path).exists():
        raise InvalidValueError(f"{path} has no script ({script_of(path)}) to take its text from.")
    notebook = cells_of(path)
    recorded = _read("nbformat", path)
    before = [cell for cell in recorded.cells if cell.cell_type == "code"]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if [cell.source for cell in before] != [cell.source for cell in code]:
        raise InvalidValueError(f"{path}: code has changed too, so its outputs must be recorded: kit record {path}")
    for cell, old in zip(code, before, strict=True):
        cell["outputs"], cell["execution_count"] = old["outputs"], old["execution_count"]
    tidy(notebook)
    write(notebook, path)


def script_of(path: Path) -> Path:
    """Where a notebook would be edited as a script."""
    return path.resolve().parent.parent / SCRIPTS / f"{path.stem}.py"


def cells_of(path: Path) -> Any:
    """The notebook without outputs: from its script where it has one."""
    script = script_of(path)
    if not script.exists() and not path.exists():
        raise InvalidValueError(f"There is no notebook {path}.")
    notebook = _read("jupytext", script) if script.exists() else _read("nbformat", path)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        if cell.cell_type == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return notebook


def _read(package: str, path: Path) -> Any:
    """A notebook, by `nbformat` or, from a script, by `jupytext`."""
    try:
        reader: Any = importlib.import_module(package)
        return reader.read(path, as_version=4)
    except ImportError as error:
        raise _missing(error) from None
    except Exception as error:  # nbformat raises many kinds for what is no notebook
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidValueError(f"{path} is no notebook that can be read: {said}") from None


def execute(notebook: Any, path: Path, framework: str | None, seconds: float) -> None:
    """Run all cells, in a kernel of this interpreter, in the notebook's folder, with an empty store."""
    try:
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    except ImportError as error:
        raise _missing(error) from None
    notebook.metadata["kernelspec"] = dict(KERNEL)
    resources = {"metadata": {"path": str(path.resolve().parent)}}
    client = NotebookClient(notebook, timeout=seconds, kernel_name=KERNEL["name"], resources=resources)
    client.extra_arguments = ["--log-level=ERROR"]  # that a kernel on this machine is reached over TCP is no news
    with fresh_surroundings(framework):
        try:
            client.execute()
        except CellExecutionError as error:
            raise WorkError(f"{path.name}: a cell fails, so nothing was recorded. {_reason(error)}") from None
        except CellTimeoutError:
            raise WorkError(f"{path.name}: a cell took more than {seconds:g} s, so nothing was recorded.") from None
        except DeadKernelError:
            raise WorkError(f"{path.name}: its kernel died, so nothing was recorded.") from None
        except RuntimeError as error:  # jupyter_client's word for a kernel that does not answer
            raise WorkError(f"{path.name}: {error}; nothing was recorded.") from None


def _reason(error: Any) -> str:
    return f"{error.ename}: {error.evalue}"


def _missing(error: ImportError) -> MissingPackageError:
    from kit.packages import pip

    names = ("nbclient", "nbformat", "ipykernel", "jupytext")
    return MissingPackageError(f"Recording needs {error.name}, which is not installed: {pip(*names)}")


@contextmanager
def fresh_surroundings(framework: str | None) -> Iterator[None]:
    """An environment in which a notebook runs alike everywhere: an empty store, no settings of IPython's user."""
    with tempfile.TemporaryDirectory(prefix="kit-notebook-") as folder:
        changes = {"KIT_STORE": str(Path(folder) / "runs"), "IPYTHONDIR": str(Path(folder) / "ipython")}
        if framework:
            changes[ANSWER] = framework
        before = {name: os.environ.get(name) for name in changes}
        os.environ.update(changes)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def tidy(notebook: Any) -> None:
    """Keep what is the same on every machine."""
    tags = {"tags"}
    for cell in notebook.cells:
        cell["metadata"] = {key: value for key, value in cell.metadata.items() if key in tags}
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop(WIDGET, None)
        if cell.cell_type == "code":
            cell["outputs"] = [output for output in cell["outputs"] if not _is_empty(output)]
    notebook["metadata"] = {
        **{name: notebook.metadata[name] for name in KEPT if name in notebook.metadata},
        "kernelspec": dict(KERNEL),
        "language_info": {"name": "python"},
        RECORDED: digest(cell.source for cell in notebook.cells if cell.cell_type == "code"),
    }


def _is_empty(output: Any) -> bool:
    """Whether nothing is left to see of an output: it was a widget without words, such as a bar."""
    return "data" in output and not any(output["data"].values())


def digest(sources: Iterator[str] | Sequence[str]) -> str:
    """Of a notebook's code: recorded outputs belong to it and to no other."""
    found = hashlib.sha256()
    for source in sources:
        found.update(source.encode() + b"\0")
    return found.hexdigest()[:16]


def write(notebook: Any, path: Path) -> None:
    """In one go, so that an interruption leaves the notebook that was there."""
    writer: Any = importlib.import_module("nbformat")
    beside = path.with_name(f".{path.name}.new")
    writer.write(notebook, beside)
    os.replace(beside, path)
