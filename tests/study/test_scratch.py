"""What a killed process leaves in the machine's temporary folder is removed by who comes next, and nothing else is."""

import os
import subprocess
import sys
import tempfile
import time

import pytest

from kit import scratch
from kit.scratch import Scratch

# Makes a folder and a file, the latter held by a child too, and says where; then is killed.
MAKER = """
import subprocess, sys
from kit.scratch import Scratch

folder, file, held = Scratch("ranks", folder=True), Scratch("numpy"), Scratch("torch")
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdout=held.descriptor)
print(folder.path, file.path, held.path, child.pid, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def later(monkeypatch):
    """A new process's first sweep, a while later."""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2 * scratch.AGE_SECONDS)
    scratch.sweep.cache_clear()
    scratch.sweep()


def test_what_a_killed_process_left_is_removed_and_what_somebody_uses_is_not(temporary, monkeypatch):
    pytest.importorskip("fcntl")
    other = temporary / "kit-scratch.txt"
    other.touch()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", MAKER], text=True, **pipes) as maker:
        *paths, child = maker.stdout.readline().split()
        folder, file, held = (temporary / os.path.basename(path) for path in paths)
        (folder / "meeting").touch()
        later(monkeypatch)
        assert folder.exists()
        maker.kill()
    scratch.sweep.cache_clear()
    mine = Scratch("mine")
    assert sorted(temporary.iterdir()) == sorted([held, mine.path, other])
    os.kill(int(child), 9)
    mine.remove()
    mine.remove()
    assert file not in temporary.iterdir()


def test_what_is_young_stays(temporary):
    left = Scratch("left")
    left.let_go()
    scratch.sweep.cache_clear()
    scratch.sweep()
    assert left.path.exists()
    left.remove()
