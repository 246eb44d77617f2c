"""A user's mistake in a notebook: the sentence and the user's line, and the traceback for those who want it."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import pytest

pytest.importorskip("IPython")

MISTAKE = """\
import kit

def made():
    return kit.Budget(steps=0)

made()
"""


@pytest.fixture
def shell(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    from IPython.core.interactiveshell import InteractiveShell

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance()
    made.history_manager.enabled = False
    yield made
    made.history_manager.end_session()
    InteractiveShell.clear_instance()


def shown(shell: Any, source: str) -> str:
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        shell.run_cell(source)
    return re.sub(r"\x1b\[[\d;]*m", "", out.getvalue())


def test_a_mistake_is_a_sentence_and_the_users_own_line(shell: Any) -> None:
    lines = shown(shell, MISTAKE).splitlines()
    assert lines[0].startswith("InvalidValueError: ")
    assert lines[1:] == ["Line 4 of the cell: return kit.Budget(steps=0)", "(%tb Plain shows the whole traceback.)"]


def test_the_whole_traceback_is_had_when_asked_for(shell: Any) -> None:
    shown(shell, MISTAKE)
    whole = shown(shell, "%tb Plain")
    assert "Traceback (most recent call last)" in whole
    assert "experiment.py" in whole
    shown(shell, "%xmode Verbose")
    assert "experiment.py" in shown(shell, MISTAKE)
    assert "experiment.py" not in shown(shell, "%xmode Context\nraise kit.errors.WorkError('no more')")


def test_another_error_looks_as_ever(shell: Any) -> None:
    assert "Traceback (most recent call last)" in shown(shell, "1 / 0")


def test_elsewhere_an_error_of_ours_has_its_traceback() -> None:
    from kit.errors import WorkError

    with pytest.raises(WorkError) as caught:
        raise WorkError("It failed.")
    assert "Traceback" in caught.value._render_traceback_()[0]
